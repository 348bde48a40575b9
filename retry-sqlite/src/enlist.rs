//! Inserting through a connection of the user's own, inside the user's transaction.

use std::path::Path;

use retry_core::store::{Enlist, Inserted, Result, StoreError, StoreErrorKind, TransactBlocking, check};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use rusqlite::{Connection, Savepoint, Transaction};

use crate::effects::Effects;
use crate::error::{During, Outcome, store_error};
use crate::insert::Inserter;
use crate::memo::Memo;
use crate::store::SqliteStore;

impl Enlist<&Connection> for SqliteStore {
    type Reply<T: Send + 'static> = T;

    fn enlist<T, F>(&self, tx: &Connection, tasks: Result<Vec<NewTask>>, now: Timestamp, finish: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        finish(tasks.and_then(|tasks| self.insert_through(tx, &tasks, now)))
    }
}

impl Enlist<&Transaction<'_>> for SqliteStore {
    type Reply<T: Send + 'static> = T;

    fn enlist<T, F>(&self, tx: &Transaction<'_>, tasks: Result<Vec<NewTask>>, now: Timestamp, finish: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        finish(tasks.and_then(|tasks| self.insert_through(tx, &tasks, now)))
    }
}

impl Enlist<&Savepoint<'_>> for SqliteStore {
    type Reply<T: Send + 'static> = T;

    fn enlist<T, F>(&self, tx: &Savepoint<'_>, tasks: Result<Vec<NewTask>>, now: Timestamp, finish: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        finish(tasks.and_then(|tasks| self.insert_through(tx, &tasks, now)))
    }
}

impl TransactBlocking for SqliteStore {
    type Tx<'t> = Savepoint<'t>;

    async fn transact<T, E, F>(&self, work: F) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Savepoint<'_>) -> std::result::Result<T, E> + Send + 'static,
    {
        self.transaction(work).await
    }

    fn insert_blocking(
        &self,
        tx: &Savepoint<'_>,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
    ) -> Result<Vec<Inserted>> {
        self.insert_through(tx, &tasks?, now)
    }
}

impl SqliteStore {
    fn insert_through(&self, conn: &Connection, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        check::insert(tasks)?;
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        check_file(conn, self.path())?;
        let mut effects = Effects::default();
        let inserted = all_or_none(conn, tasks, now, &mut effects)
            .map_err(|fault| store_error(fault, During::Foreign, self.path()))?;
        // Elsewhere the commit is still to come, and the watcher sees it.
        if self.is_writer_thread() {
            self.enlist_effects(effects);
        }
        Ok(inserted)
    }
}

/// What is written must go to the file that the workers, or the relay, look at.
pub(crate) fn check_file(conn: &Connection, path: &Path) -> Result<()> {
    let file = conn.path().unwrap_or_default();
    if Path::new(file) == path {
        return Ok(());
    }
    let message = format!(
        "{}: this connection is open on {}; open it on the file named first",
        path.display(),
        if file.is_empty() {
            "a database in memory"
        } else {
            file
        }
    );
    Err(StoreError::rejected(StoreErrorKind::Schema, message))
}

/// Inserts in a savepoint, so that a failure leaves nothing in the user's transaction.
fn all_or_none(
    conn: &Connection,
    tasks: &[NewTask],
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome<Vec<Inserted>> {
    conn.prepare_cached("SAVEPOINT retry_in_tx")?.execute([])?;
    let inserted = insert(conn, tasks, now, effects);
    if inserted.is_err() && !conn.is_autocommit() {
        conn.prepare_cached("ROLLBACK TO retry_in_tx")?.execute([])?;
    }
    if !conn.is_autocommit() {
        conn.prepare_cached("RELEASE retry_in_tx")?.execute([])?;
    }
    inserted
}

fn insert(
    conn: &Connection,
    tasks: &[NewTask],
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome<Vec<Inserted>> {
    let mut memo = Memo::default();
    Inserter::new(conn, now)?.insert_all(tasks, &mut memo, effects)
}

//! Inserting through a connection of the user's own, inside the user's transaction.

use futures_util::future::BoxFuture;
use retry_core::store::{Enlist, Inserted, Result, check};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use sqlx::mysql::MySqlConnection;
use sqlx::pool::PoolConnection;
use sqlx::{MySql, Transaction};

use crate::db::Db;
use crate::error::{During, Fault, Outcome, outside_transaction, store_error};
use crate::glance::Glance;
use crate::load::{Look, load, lock_holders, read_leases};
use crate::rows::Rows;
use crate::store::MySqlStore;
use crate::write::write;

/// How often an insert looks again because somebody else inserted one of its ids or keys between the look and the write.
const LOOKS: usize = 10;

impl<'c> Enlist<&'c mut MySqlConnection> for MySqlStore {
    type Reply<T: Send + 'static> = BoxFuture<'c, T>;

    fn enlist<T, F>(
        &self,
        tx: &'c mut MySqlConnection,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
        finish: F,
    ) -> BoxFuture<'c, T>
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        let store = self.clone();
        Box::pin(async move {
            finish(match tasks {
                Ok(tasks) => store.insert_through(tx, &tasks, now).await,
                Err(error) => Err(error),
            })
        })
    }
}

impl<'c, 't> Enlist<&'c mut Transaction<'t, MySql>> for MySqlStore {
    type Reply<T: Send + 'static> = BoxFuture<'c, T>;

    fn enlist<T, F>(
        &self,
        tx: &'c mut Transaction<'t, MySql>,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
        finish: F,
    ) -> BoxFuture<'c, T>
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        self.enlist(&mut **tx, tasks, now, finish)
    }
}

impl<'c> Enlist<&'c mut PoolConnection<MySql>> for MySqlStore {
    type Reply<T: Send + 'static> = BoxFuture<'c, T>;

    fn enlist<T, F>(
        &self,
        tx: &'c mut PoolConnection<MySql>,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
        finish: F,
    ) -> BoxFuture<'c, T>
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        self.enlist(&mut **tx, tasks, now, finish)
    }
}

impl MySqlStore {
    async fn insert_through(
        &self,
        conn: &mut MySqlConnection,
        tasks: &[NewTask],
        now: Timestamp,
    ) -> Result<Vec<Inserted>> {
        check::insert(tasks)?;
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        // Without it duplicates are met by inserts that fail, as those that come up behind it are.
        let seen = self.glance(tasks).await.unwrap_or_default();
        let inserted = all_or_none(&mut Db::users(conn, &self.inner.queries), tasks, &seen, now).await;
        inserted.map_err(|fault| store_error(fault, During::Foreign, &self.inner.place))
    }
}

/// Inserts behind a savepoint, so that a failure leaves nothing in the user's transaction.
async fn all_or_none(
    db: &mut Db<'_>,
    tasks: &[NewTask],
    seen: &Glance,
    now: Timestamp,
) -> Outcome<Vec<Inserted>> {
    begin(db).await?;
    let mut looks = 0;
    loop {
        // A look takes locks, at REPEATABLE READ also on what is not there: only after an insert has failed.
        let seen = (looks == 0).then_some(seen);
        let fault = match insert(db, tasks, seen, now).await {
            Ok(inserted) => {
                sqlx::raw_sql("RELEASE SAVEPOINT retry_in_tx")
                    .execute(&mut *db.conn)
                    .await?;
                return Ok(inserted);
            }
            Err(fault) => fault,
        };
        looks += 1;
        // After a deadlock there is no savepoint any more, and nothing to undo.
        let undone = sqlx::raw_sql("ROLLBACK TO SAVEPOINT retry_in_tx")
            .execute(&mut *db.conn)
            .await;
        if undone.is_err() || looks == LOOKS || !matches!(fault, Fault::Collision) {
            return Err(fault);
        }
    }
}

/// Sets the savepoint. Outside of a transaction it is gone with the statement that sets it.
async fn begin(db: &mut Db<'_>) -> Outcome<()> {
    let set = "SAVEPOINT retry_in_tx; ROLLBACK TO SAVEPOINT retry_in_tx";
    match sqlx::raw_sql(set).execute(&mut *db.conn).await {
        Ok(_) => Ok(()),
        Err(error) => Err(outside_transaction(&error).map_or_else(|| error.into(), Into::into)),
    }
}

/// Inserts on what was seen, or on what is locked.
async fn insert(
    db: &mut Db<'_>,
    tasks: &[NewTask],
    seen: Option<&Glance>,
    now: Timestamp,
) -> Outcome<Vec<Inserted>> {
    let mut rows = match seen {
        None => load(db, &[], tasks, now, Look::Everything).await?,
        Some(seen) => {
            let mut rows = Rows::new(now);
            let replaced = seen.tell(&mut rows, tasks);
            lock_holders(db, &mut rows, &replaced).await?;
            read_leases(db, &mut rows, tasks).await?;
            rows
        }
    };
    let inserted = tasks.iter().map(|new| rows.insert(new, None)).collect();
    write(db, &rows).await?;
    Ok(inserted)
}

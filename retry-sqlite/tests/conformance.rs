//! The conformance suite on SQLite files.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use conformance_tests::{Capabilities, Harness, Instance, Skip, TransactionEnd};
use retry_core::clock::ManualClock;
use retry_core::id::TaskId;
use retry_core::store::{Enlist as _, Inserted, Result as StoreResult, TaskStore};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use retry_sqlite::SqliteStore;
use rusqlite::{Connection, TransactionBehavior};
use tempfile::TempDir;

struct Sqlite;

#[async_trait]
impl Harness for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
            .reopen()
            .damage()
            .peer()
            .transactions()
            .histories(128)
    }

    async fn fresh(&self, clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = open(&dir, &clock);
        Ok(Box::new(File { store, clock, dir }))
    }
}

/// A store in a directory of its own.
struct File {
    store: SqliteStore,
    clock: ManualClock,
    dir: TempDir,
}

fn open(dir: &TempDir, clock: &ManualClock) -> SqliteStore {
    SqliteStore::builder(dir.path().join("tasks.db"))
        .clock(Arc::new(clock.clone()))
        .readers(1)
        .build()
        .expect("the store opens")
}

#[async_trait]
impl Instance for File {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::new(self.store.clone())
    }

    async fn reopen(self: Box<Self>) -> Box<dyn Instance> {
        let Self { store, clock, dir } = *self;
        drop(store);
        let store = open(&dir, &clock);
        Box::new(Self { store, clock, dir })
    }

    async fn damage(&self, id: TaskId) {
        let conn = Connection::open(self.store.path()).expect("a connection beside the store");
        let damaged = conn
            .execute(
                "UPDATE retry_body SET settings = '{' \
                 WHERE number = (SELECT number FROM retry_task WHERE id = ?1)",
                [id.to_bytes()],
            )
            .expect("the statement runs");
        assert_eq!(damaged, 1, "one row is damaged");
    }

    async fn peer(&self) -> Arc<dyn TaskStore> {
        Arc::new(open(&self.dir, &self.clock))
    }

    async fn in_transaction(
        &self,
        tasks: &[NewTask],
        now: Timestamp,
        end: TransactionEnd,
    ) -> StoreResult<Vec<Inserted>> {
        let mut conn = self.store.connection().expect("a connection for the user");
        let begun = conn.transaction_with_behavior(TransactionBehavior::Immediate);
        let mut tx = begun.expect("a transaction");
        let tasks = Ok(tasks.to_vec());
        if end == TransactionEnd::RollbackToSavepoint {
            let mut savepoint = tx.savepoint().expect("a savepoint");
            let answer = self.store.enlist(&savepoint, tasks, now, |answer| answer);
            savepoint.rollback().expect("rolled back");
            drop(savepoint);
            tx.commit().expect("committed");
            return answer;
        }
        let answer = self.store.enlist(&tx, tasks, now, |answer| answer);
        match end {
            TransactionEnd::Commit => tx.commit().expect("committed"),
            _ => tx.rollback().expect("rolled back"),
        }
        answer
    }
}

fn main() -> ExitCode {
    conformance_tests::run(Sqlite)
}

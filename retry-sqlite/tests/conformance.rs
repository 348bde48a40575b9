//! The conformance suite on SQLite files.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use conformance_tests::{Capabilities, Harness, Instance, Skip};
use retry_core::clock::ManualClock;
use retry_core::id::TaskId;
use retry_core::store::TaskStore;
use retry_sqlite::SqliteStore;
use rusqlite::Connection;
use tempfile::TempDir;

struct Sqlite;

#[async_trait]
impl Harness for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new().reopen().damage().peer().histories(128)
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
}

fn main() -> ExitCode {
    conformance_tests::run(Sqlite)
}

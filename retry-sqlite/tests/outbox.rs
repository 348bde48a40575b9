//! The checks of an outbox's table on SQLite files: in write-ahead mode, and with SQLite's own default journal.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use conformance_tests::Skip;
use conformance_tests::outbox::{OutboxHarness, OutboxInstance, Transaction, run};
use retry_core::id::TaskId;
use retry_core::outbox::{NewRow, OutboxTable, WriteOutbox as _};
use retry_core::store::Result as StoreResult;
use retry_sqlite::SqliteOutbox;
use rusqlite::Connection;
use tempfile::TempDir;

/// Files of one journal mode.
struct Files {
    name: &'static str,
    journal: &'static str,
}

#[async_trait]
impl OutboxHarness for Files {
    fn name(&self) -> &str {
        self.name
    }

    fn overlaps(&self) -> bool {
        false
    }

    fn has_savepoints(&self) -> bool {
        true
    }

    async fn fresh(&self) -> Result<Box<dyn OutboxInstance>, Skip> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().canonicalize().expect("its path").join("shop.db");
        let conn = Connection::open(&path).expect("a connection");
        let mode =
            conn.pragma_update_and_check(None, "journal_mode", self.journal, |row| row.get::<_, String>(0));
        assert_eq!(mode.expect("the mode is set"), self.journal);
        let outbox = SqliteOutbox::open("orders", &path).expect("the outbox opens");
        Ok(Box::new(Fresh { outbox, _dir: dir }))
    }
}

/// A file of its own.
struct Fresh {
    outbox: SqliteOutbox,
    _dir: TempDir,
}

#[async_trait]
impl OutboxInstance for Fresh {
    fn table(&self) -> Arc<dyn OutboxTable> {
        Arc::new(self.outbox.clone())
    }

    async fn begin(&self) -> Box<dyn Transaction> {
        let conn = Connection::open(self.outbox.path()).expect("a connection");
        // The other writers of a test hold the lock across awaits: to wait for it here would keep their thread.
        conn.busy_timeout(std::time::Duration::ZERO).expect("a setting");
        while conn.execute_batch("BEGIN IMMEDIATE").is_err() {
            tokio::task::yield_now().await;
        }
        conn.busy_timeout(std::time::Duration::from_secs(5))
            .expect("a setting");
        let outbox = self.outbox.clone();
        Box::new(Open { outbox, conn })
    }

    async fn aside(&self) -> Vec<TaskId> {
        let conn = Connection::open(self.outbox.path()).expect("a connection");
        let sql = "SELECT id FROM retry_outbox WHERE set_aside IS NOT NULL";
        let mut statement = conn.prepare(sql).expect("the table");
        let ids = statement.query_map([], |row| Ok(TaskId::from_bytes(row.get(0)?)));
        ids.and_then(Iterator::collect).expect("the rows")
    }
}

/// A connection of the user's own, with a transaction open.
struct Open {
    outbox: SqliteOutbox,
    conn: Connection,
}

impl Open {
    fn run(&self, sql: &str) {
        self.conn.execute_batch(sql).expect("the statement runs");
    }
}

#[async_trait]
impl Transaction for Open {
    async fn write(&mut self, rows: Vec<NewRow>) -> StoreResult<()> {
        self.outbox.write(&self.conn, Ok(rows), |answer| answer)
    }

    async fn savepoint(&mut self, rows: Vec<NewRow>) -> StoreResult<()> {
        let mut savepoint = self.conn.savepoint().expect("a savepoint");
        let answer = self.outbox.write(&savepoint, Ok(rows), |answer| answer);
        savepoint.rollback().expect("rolled back");
        answer
    }

    async fn commit(self: Box<Self>) {
        self.run("COMMIT");
    }

    async fn roll_back(self: Box<Self>) {
        self.run("ROLLBACK");
    }
}

fn main() -> ExitCode {
    run([
        Files {
            name: "sqlite",
            journal: "wal",
        },
        Files {
            name: "sqlite-delete",
            journal: "delete",
        },
    ])
}

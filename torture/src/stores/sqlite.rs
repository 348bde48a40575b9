//! SQLite: one file, opened by every process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use async_trait::async_trait;
use retry_core::client::{Client, Enqueued};
use retry_core::draft::Draft;
use retry_sqlite::SqliteStore;
use rusqlite::{Connection, TransactionBehavior};

use crate::kinds::Order;
use crate::place::{Ledger, Orders, Subject, Sum};

/// What must be 0: rows of the store's tables without the rows they belong to.
const NONE: [&str; 4] = [
    "SELECT count(*) FROM retry_task WHERE number NOT IN (SELECT number FROM retry_body)",
    "SELECT count(*) FROM retry_body WHERE number NOT IN (SELECT number FROM retry_task)",
    "SELECT count(*) FROM retry_note WHERE number NOT IN (SELECT number FROM retry_body)",
    "SELECT count(*) FROM retry_failure WHERE body NOT IN (SELECT number FROM retry_body)",
];

#[derive(Debug)]
pub(crate) struct Sqlite {
    file: PathBuf,
    url: String,
}

impl Sqlite {
    /// The store in `file`, or in a file of its own in `home` when none is named.
    pub(crate) fn new(file: &str, home: &Path) -> Self {
        let file = match file.strip_prefix("//").unwrap_or(file) {
            "" => home.join("tasks.db"),
            file => PathBuf::from(file),
        };
        Self {
            url: format!("sqlite:{}", file.display()),
            file,
        }
    }
}

#[async_trait]
impl Subject for Sqlite {
    fn url(&self) -> &str {
        &self.url
    }

    async fn prepare(&self) -> Result<()> {
        let conn = SqliteStore::open(&self.file)?.connection()?;
        conn.execute_batch(
            "CREATE TABLE IF NOT EXISTS torture_order (n INTEGER NOT NULL PRIMARY KEY) STRICT;
             CREATE TABLE IF NOT EXISTS torture_sum (
                 batch TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL, sum INTEGER NOT NULL, times INTEGER NOT NULL
             ) STRICT",
        )?;
        Ok(())
    }

    async fn orders(&self) -> Result<Option<Box<dyn Orders>>> {
        let store = SqliteStore::open(&self.file)?;
        let conn = store.connection()?;
        let client = Client::new(store);
        Ok(Some(Box::new(Book { conn, client })))
    }

    async fn rows(&self) -> Result<Vec<u64>> {
        let conn = SqliteStore::open(&self.file)?.connection()?;
        let mut rows = conn.prepare("SELECT n FROM torture_order")?;
        let numbers = rows.query_map([], |row| row.get::<_, i64>(0))?;
        Ok(numbers
            .map(|n| n.map(i64::cast_unsigned))
            .collect::<Result<_, _>>()?)
    }

    async fn ledger(&self) -> Result<Option<Arc<dyn Ledger>>> {
        let conn = SqliteStore::open(&self.file)?.connection()?;
        Ok(Some(Arc::new(Sums(Mutex::new(conn)))))
    }

    async fn left(&self) -> Result<Vec<String>> {
        // Who was killed between its commit and the removal left a file that the next opening removes.
        drop(SqliteStore::open(&self.file)?);
        let mut locks = self.file.as_os_str().to_owned();
        locks.push("-locks");
        let mut left = Vec::new();
        for entry in std::fs::read_dir(locks)? {
            let name = entry?.file_name();
            if name != "turn" {
                left.push(format!("a lock file is left over: {}", name.to_string_lossy()));
            }
        }
        Ok(left)
    }

    async fn damage(&self) -> Result<Vec<String>> {
        let conn = SqliteStore::open(&self.file)?.connection()?;
        let mut found = Vec::new();
        let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        if sound != "ok" {
            found.push(format!("the file is damaged: {sound}"));
        }
        for query in NONE {
            let number: i64 = conn.query_row(query, [], |row| row.get(0))?;
            if number != 0 {
                found.push(format!("{query}: {number}, not 0"));
            }
        }
        Ok(found)
    }
}

/// The enqueuer's own rows in the store's file.
struct Book {
    conn: Connection,
    client: Client<SqliteStore>,
}

#[async_trait]
impl Orders for Book {
    async fn place(&mut self, n: u64) -> Result<Enqueued> {
        tokio::task::block_in_place(|| {
            let tx = self
                .conn
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute("INSERT INTO torture_order (n) VALUES (?1)", [n.cast_signed()])?;
            let enqueued = self.client.enqueue(Draft::of(&Order { n })).in_tx(&tx)?;
            tx.commit()?;
            Ok(enqueued)
        })
    }
}

/// The user's own rows in the store's file.
struct Sums(Mutex<Connection>);

#[async_trait]
impl Ledger for Sums {
    async fn write(&self, sum: &Sum) -> Result<()> {
        let write = "INSERT INTO torture_sum VALUES (?1, ?2, ?3, 1) ON CONFLICT (batch) DO UPDATE \
                     SET version = excluded.version, sum = excluded.sum, times = times + 1 \
                     WHERE torture_sum.version < excluded.version";
        tokio::task::block_in_place(|| {
            let conn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            conn.execute(
                write,
                (&sum.batch, sum.version.cast_signed(), sum.sum.cast_signed()),
            )?;
            Ok(())
        })
    }

    async fn sums(&self) -> Result<Vec<Sum>> {
        let conn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = conn.prepare("SELECT batch, version, sum, times FROM torture_sum")?;
        let sums = read.query_map([], |row| {
            Ok(Sum {
                batch: row.get(0)?,
                version: row.get::<_, i64>(1)?.cast_unsigned(),
                sum: row.get::<_, i64>(2)?.cast_unsigned(),
                times: row.get::<_, i64>(3)?.cast_unsigned(),
            })
        })?;
        Ok(sums.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn damaged(by: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let subject = Sqlite::new("", dir.path());
        subject.prepare().await.unwrap();
        let mut orders = subject.orders().await.unwrap().unwrap();
        orders.place(7).await.unwrap();
        assert_eq!(subject.rows().await.unwrap(), [7]);
        drop(orders);
        assert!(subject.left().await.unwrap().is_empty());
        Connection::open(&subject.file)
            .unwrap()
            .execute_batch(by)
            .unwrap();
        subject.damage().await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn planted_damage_is_found() {
        assert!(damaged("").await.is_empty());
        for (by, wanted) in [
            ("DELETE FROM retry_body", "retry_task WHERE"),
            ("DELETE FROM retry_task", "retry_body WHERE"),
            (
                "INSERT INTO retry_note VALUES (99, 0, 0, NULL, NULL, NULL, NULL, NULL)",
                "retry_note",
            ),
            ("INSERT INTO retry_failure VALUES (99, 1, '')", "retry_failure"),
        ] {
            let found = damaged(by).await;
            assert!(found.iter().any(|what| what.contains(wanted)), "{by}: {found:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_index_without_its_entries_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let subject = Sqlite::new("", dir.path());
        subject.prepare().await.unwrap();
        subject.orders().await.unwrap().unwrap().place(7).await.unwrap();
        let conn = Connection::open(&subject.file).unwrap();
        let root = "SELECT (rootpage - 1) * (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = ?1";
        let page: u32 = conn.query_row(root, ["retry_id"], |row| row.get(0)).unwrap();
        let page = usize::try_from(page).unwrap();
        drop(conn);
        let mut bytes = std::fs::read(&subject.file).unwrap();
        bytes[page + 3..page + 5].fill(0); // the number of entries
        std::fs::write(&subject.file, bytes).unwrap();
        let found = subject.damage().await.unwrap();
        assert!(found[0].contains("the file is damaged"), "{found:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lock_file_that_is_left_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let subject = Sqlite::new("", dir.path());
        subject.prepare().await.unwrap();
        std::fs::write(dir.path().join("tasks.db-locks/somebody"), "").unwrap();
        assert_eq!(subject.left().await.unwrap().len(), 1);
    }
}

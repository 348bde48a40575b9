//! SQLite: one file, opened by every process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use retry_core::client::Client;
use retry_core::draft::Draft;
use retry_core::outbox::OutboxRelayHandle;
use retry_sqlite::SqliteOutbox;
use rusqlite::{Connection, TransactionBehavior};

use super::{NAME, Shop, Source};
use crate::outbox::runs::Ship;
use crate::outbox::writer::Fate;

#[derive(Debug)]
pub(super) struct Sqlite {
    file: PathBuf,
    url: String,
}

impl Sqlite {
    /// The database in `file`, or in a file of its own in `home` when none is named.
    pub(super) fn new(file: &str, home: &Path) -> Self {
        let file = match file.strip_prefix("//").unwrap_or(file) {
            "" => home.join("shop.db"),
            file => PathBuf::from(file),
        };
        Self {
            url: format!("sqlite:{}", file.display()),
            file,
        }
    }

    fn outbox(&self) -> Result<SqliteOutbox> {
        Ok(SqliteOutbox::open(NAME, &self.file)?)
    }

    fn connect(&self) -> Result<Connection> {
        let conn = Connection::open(&self.file)?;
        conn.busy_timeout(Duration::from_secs(20))?;
        Ok(conn)
    }
}

#[async_trait]
impl Source for Sqlite {
    fn url(&self) -> &str {
        &self.url
    }

    async fn prepare(&self) -> Result<()> {
        let conn = self.connect()?;
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; \
             CREATE TABLE IF NOT EXISTS orders (n INTEGER NOT NULL PRIMARY KEY) STRICT",
        )?;
        self.outbox()?;
        Ok(())
    }

    async fn shop(&self) -> Result<Box<dyn Shop>> {
        let (conn, outbox) = (self.connect()?, self.outbox()?);
        Ok(Box::new(Book { conn, outbox }))
    }

    async fn relay(&self, client: &Client) -> Result<OutboxRelayHandle> {
        super::relay(client, self.outbox()?)
    }

    async fn rows(&self) -> Result<Vec<u64>> {
        let conn = self.connect()?;
        let mut rows = conn.prepare("SELECT n FROM orders")?;
        let numbers = rows.query_map([], |row| row.get::<_, i64>(0))?;
        Ok(numbers
            .map(|n| n.map(i64::cast_unsigned))
            .collect::<Result<_, _>>()?)
    }

    async fn waiting(&self) -> Result<u64> {
        super::waiting(&self.outbox()?).await
    }

    async fn aside(&self) -> Result<u64> {
        let conn = self.connect()?;
        let aside = "SELECT count(*) FROM retry_outbox WHERE set_aside IS NOT NULL";
        let rows: i64 = conn.query_row(aside, [], |row| row.get(0))?;
        Ok(rows.cast_unsigned())
    }
}

struct Book {
    conn: Connection,
    outbox: SqliteOutbox,
}

#[async_trait]
impl Shop for Book {
    async fn order(&mut self, client: &Client, n: u64, fate: Fate) -> Result<()> {
        tokio::task::block_in_place(|| {
            let mut tx = self
                .conn
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute("INSERT INTO orders (n) VALUES (?1)", [n.cast_signed()])?;
            client.enqueue(Draft::of(&Ship { n })).outbox(&self.outbox, &tx)?;
            if fate == Fate::Savepoint {
                let mut savepoint = tx.savepoint()?;
                let other = Draft::of(&Ship { n: n + 1 });
                client.enqueue(other).outbox(&self.outbox, &savepoint)?;
                savepoint.rollback()?;
            }
            match fate {
                Fate::RollBack => tx.rollback()?,
                Fate::Commit | Fate::Savepoint => tx.commit()?,
            }
            Ok(())
        })
    }
}

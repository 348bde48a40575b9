//! The enqueuer's own rows in the store's file, written in one transaction with a task.

use anyhow::Result;
use retry_core::client::{Client, Enqueued};
use retry_core::draft::Draft;
use retry_sqlite::SqliteStore;
use rusqlite::{Connection, TransactionBehavior};

use crate::kinds::Order;

/// Creates the table.
pub(crate) fn prepare(conn: &Connection) -> Result<()> {
    conn.execute_batch("CREATE TABLE IF NOT EXISTS torture_order (n INTEGER NOT NULL PRIMARY KEY) STRICT")?;
    Ok(())
}

/// Writes a row and its task.
pub(crate) fn place(conn: &mut Connection, client: &Client<SqliteStore>, n: u64) -> Result<Enqueued> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("INSERT INTO torture_order (n) VALUES (?1)", [n.cast_signed()])?;
    let enqueued = client.enqueue(Draft::of(&Order { n })).in_tx(&tx)?;
    tx.commit()?;
    Ok(enqueued)
}

/// All rows.
pub(crate) fn all(conn: &Connection) -> Result<Vec<u64>> {
    let mut rows = conn.prepare("SELECT n FROM torture_order")?;
    let numbers = rows.query_map([], |row| row.get::<_, i64>(0))?;
    Ok(numbers
        .map(|n| n.map(i64::cast_unsigned))
        .collect::<Result<_, _>>()?)
}

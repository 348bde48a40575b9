//! Writing rows through a connection of the user's own, inside the user's transaction.

use retry_core::outbox::{NewRow, WriteOutbox, check};
use retry_core::store::{Result, StoreError};
use rusqlite::{Connection, Savepoint, Transaction, params};

use super::{Inner, SqliteOutbox};
use crate::enlist::check_file;
use crate::error::{During, Outcome, store_error};

impl WriteOutbox<&Connection> for SqliteOutbox {
    type Reply<T: Send + 'static> = T;

    fn write<T, F>(&self, tx: &Connection, rows: Result<Vec<NewRow>>, finish: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Result<()>) -> T + Send + 'static,
    {
        finish(rows.and_then(|rows| write_through(&self.inner, tx, &rows)))
    }
}

impl WriteOutbox<&Transaction<'_>> for SqliteOutbox {
    type Reply<T: Send + 'static> = T;

    fn write<T, F>(&self, tx: &Transaction<'_>, rows: Result<Vec<NewRow>>, finish: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Result<()>) -> T + Send + 'static,
    {
        finish(rows.and_then(|rows| write_through(&self.inner, tx, &rows)))
    }
}

impl WriteOutbox<&Savepoint<'_>> for SqliteOutbox {
    type Reply<T: Send + 'static> = T;

    fn write<T, F>(&self, tx: &Savepoint<'_>, rows: Result<Vec<NewRow>>, finish: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Result<()>) -> T + Send + 'static,
    {
        finish(rows.and_then(|rows| write_through(&self.inner, tx, &rows)))
    }
}

fn write_through(inner: &Inner, conn: &Connection, rows: &[NewRow]) -> Result<()> {
    check::write(rows)?;
    if rows.iter().any(|row| str::from_utf8(&row.body).is_err()) {
        return Err(StoreError::invalid("a row's body is not UTF-8 text"));
    }
    if rows.is_empty() {
        return Ok(());
    }
    check_file(conn, &inner.path)?;
    all_or_none(conn, &inner.sql.write, rows)
        .map_err(|fault| store_error(fault, During::Foreign, &inner.path))
}

/// Writes in a savepoint, so that a failure leaves nothing in the user's transaction; a single row is all or none by itself.
fn all_or_none(conn: &Connection, sql: &str, rows: &[NewRow]) -> Outcome<()> {
    if let [row] = rows {
        return write(conn, sql, std::slice::from_ref(row));
    }
    conn.prepare_cached("SAVEPOINT retry_outbox")?.execute([])?;
    let written = write(conn, sql, rows);
    if written.is_err() && !conn.is_autocommit() {
        conn.prepare_cached("ROLLBACK TO retry_outbox")?.execute([])?;
    }
    if !conn.is_autocommit() {
        conn.prepare_cached("RELEASE retry_outbox")?.execute([])?;
    }
    written
}

fn write(conn: &Connection, sql: &str, rows: &[NewRow]) -> Outcome<()> {
    let mut statement = conn.prepare_cached(sql)?;
    for row in rows {
        let body = str::from_utf8(&row.body).unwrap_or_default();
        let (id, created_at) = (row.id.to_bytes(), row.created_at.as_millis());
        statement.execute(params![id, row.kind.as_str(), created_at, body])?;
    }
    Ok(())
}

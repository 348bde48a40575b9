//! Writing rows through a connection of the user's own, inside the user's transaction.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use retry_core::outbox::{NewRow, WriteOutbox, check};
use retry_core::store::{Result, StoreError};
use sqlx::mysql::MySqlConnection;
use sqlx::pool::PoolConnection;
use sqlx::{MySql, Transaction};

use super::queries::{OutboxQueries, UNDO};
use super::{Inner, MySqlOutbox};
use crate::error::{During, Outcome, outside_transaction, store_error};

impl<'c> WriteOutbox<&'c mut MySqlConnection> for MySqlOutbox {
    type Reply<T: Send + 'static> = BoxFuture<'c, T>;

    fn write<T, F>(
        &self,
        tx: &'c mut MySqlConnection,
        rows: Result<Vec<NewRow>>,
        finish: F,
    ) -> BoxFuture<'c, T>
    where
        T: Send + 'static,
        F: FnOnce(Result<()>) -> T + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            finish(match rows {
                Ok(rows) => write_through(&inner, tx, &rows).await,
                Err(error) => Err(error),
            })
        })
    }
}

impl<'c> WriteOutbox<&'c mut Transaction<'_, MySql>> for MySqlOutbox {
    type Reply<T: Send + 'static> = BoxFuture<'c, T>;

    fn write<T, F>(
        &self,
        tx: &'c mut Transaction<'_, MySql>,
        rows: Result<Vec<NewRow>>,
        finish: F,
    ) -> BoxFuture<'c, T>
    where
        T: Send + 'static,
        F: FnOnce(Result<()>) -> T + Send + 'static,
    {
        WriteOutbox::<&'c mut MySqlConnection>::write(self, &mut **tx, rows, finish)
    }
}

impl<'c> WriteOutbox<&'c mut PoolConnection<MySql>> for MySqlOutbox {
    type Reply<T: Send + 'static> = BoxFuture<'c, T>;

    fn write<T, F>(
        &self,
        tx: &'c mut PoolConnection<MySql>,
        rows: Result<Vec<NewRow>>,
        finish: F,
    ) -> BoxFuture<'c, T>
    where
        T: Send + 'static,
        F: FnOnce(Result<()>) -> T + Send + 'static,
    {
        WriteOutbox::<&'c mut MySqlConnection>::write(self, &mut **tx, rows, finish)
    }
}

async fn write_through(inner: &Inner, conn: &mut MySqlConnection, rows: &[NewRow]) -> Result<()> {
    check::write(rows)?;
    if rows.iter().any(|row| str::from_utf8(&row.body).is_err()) {
        return Err(StoreError::invalid("a row's body is not UTF-8 text"));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let written = all_or_none(&inner.sql, conn, rows).await;
    written.map_err(|fault| store_error(fault, During::Foreign, &inner.place))
}

/// Writes inside a savepoint, so that a failure leaves nothing in the user's transaction. As texts, like all that goes through a
/// connection of the user's: a call that is dropped while the driver prepares a statement leaves its connection with answers that
/// nobody reads.
async fn all_or_none(sql: &OutboxQueries, conn: &mut MySqlConnection, rows: &[NewRow]) -> Outcome<()> {
    for text in sql.writes(rows) {
        let Err(error) = sqlx::raw_sql(text).execute(&mut *conn).await else {
            continue;
        };
        if let Some(refusal) = outside_transaction(&error) {
            return Err(refusal.into());
        }
        // After a deadlock there is no savepoint any more, and nothing to undo.
        let _ = sqlx::raw_sql(UNDO).execute(&mut *conn).await;
        return Err(error.into());
    }
    Ok(())
}

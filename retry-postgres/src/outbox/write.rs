//! Writing rows through a connection of the user's own, inside the user's transaction.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use retry_core::outbox::{NewRow, WriteOutbox, check};
use retry_core::store::{Result, StoreError};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Transaction};

use super::{Inner, PostgresOutbox};
use crate::error::{During, Outcome, store_error};
use crate::tx::Tx;
use crate::types::Id;

impl<'t> WriteOutbox<&'t mut PgConnection> for PostgresOutbox {
    type Reply<T: Send + 'static> = BoxFuture<'t, T>;

    fn write<T, F>(&self, tx: &'t mut PgConnection, rows: Result<Vec<NewRow>>, finish: F) -> BoxFuture<'t, T>
    where
        T: Send + 'static,
        F: FnOnce(Result<()>) -> T + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            finish(match rows {
                Ok(rows) => write_through(&inner, tx, rows).await,
                Err(error) => Err(error),
            })
        })
    }
}

impl<'t> WriteOutbox<&'t mut Transaction<'_, Postgres>> for PostgresOutbox {
    type Reply<T: Send + 'static> = BoxFuture<'t, T>;

    fn write<T, F>(
        &self,
        tx: &'t mut Transaction<'_, Postgres>,
        rows: Result<Vec<NewRow>>,
        finish: F,
    ) -> BoxFuture<'t, T>
    where
        T: Send + 'static,
        F: FnOnce(Result<()>) -> T + Send + 'static,
    {
        WriteOutbox::<&'t mut PgConnection>::write(self, &mut **tx, rows, finish)
    }
}

impl<'t> WriteOutbox<&'t mut PoolConnection<Postgres>> for PostgresOutbox {
    type Reply<T: Send + 'static> = BoxFuture<'t, T>;

    fn write<T, F>(
        &self,
        tx: &'t mut PoolConnection<Postgres>,
        rows: Result<Vec<NewRow>>,
        finish: F,
    ) -> BoxFuture<'t, T>
    where
        T: Send + 'static,
        F: FnOnce(Result<()>) -> T + Send + 'static,
    {
        WriteOutbox::<&'t mut PgConnection>::write(self, &mut **tx, rows, finish)
    }
}

/// Rows as the statement takes them, a vector for each column.
#[derive(Default)]
struct Columns {
    ids: Vec<Id>,
    kinds: Vec<String>,
    times: Vec<i64>,
    bodies: Vec<String>,
}

impl Columns {
    fn of(rows: Vec<NewRow>) -> Result<Self> {
        let mut columns = Self::default();
        for row in rows {
            columns.ids.push(row.id.into());
            columns.kinds.push(row.kind.as_str().to_owned());
            columns.times.push(row.created_at.as_millis());
            let body = String::from_utf8(row.body)
                .ok()
                .filter(|body| !body.contains('\0'));
            columns.bodies.push(body.ok_or_else(|| {
                StoreError::invalid(
                    "a row's body is not UTF-8 text without U+0000, which PostgreSQL cannot keep",
                )
            })?);
        }
        Ok(columns)
    }
}

async fn write_through(inner: &Inner, conn: &mut PgConnection, rows: Vec<NewRow>) -> Result<()> {
    check::write(&rows)?;
    if rows.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(rows)?;
    let calls = &inner.calls;
    let mut tx = Tx::foreign(conn, Arc::clone(&calls.queries), !calls.pooler);
    write(inner, &mut tx, columns)
        .await
        .map_err(|fault| store_error(fault, During::Foreign, &calls.place))
}

async fn write(inner: &Inner, tx: &mut Tx<'_>, columns: Columns) -> Outcome<()> {
    tx.require_transaction().await?;
    let statement = tx
        .query(&inner.sql.write)
        .bind(columns.ids)
        .bind(columns.kinds)
        .bind(columns.times)
        .bind(columns.bodies);
    tx.execute(statement).await?;
    Ok(())
}

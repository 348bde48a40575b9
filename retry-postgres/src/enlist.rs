//! Inserting through a connection of the user's own, inside the user's transaction.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use retry_core::name::Queue;
use retry_core::store::{Enlist, Inserted, Result, check};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::error::{During, Outcome, store_error};
use crate::insert::{self, Newcomer};
use crate::store::{Inner, PostgresStore};
use crate::tx::Tx;

impl<'t> Enlist<&'t mut PgConnection> for PostgresStore {
    type Reply<T: Send + 'static> = BoxFuture<'t, T>;

    fn enlist<T, F>(
        &self,
        tx: &'t mut PgConnection,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
        finish: F,
    ) -> BoxFuture<'t, T>
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            finish(match tasks {
                Ok(tasks) => insert_through(&inner, tx, &tasks, now).await,
                Err(error) => Err(error),
            })
        })
    }
}

impl<'t> Enlist<&'t mut Transaction<'_, Postgres>> for PostgresStore {
    type Reply<T: Send + 'static> = BoxFuture<'t, T>;

    fn enlist<T, F>(
        &self,
        tx: &'t mut Transaction<'_, Postgres>,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
        finish: F,
    ) -> BoxFuture<'t, T>
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        Enlist::<&'t mut PgConnection>::enlist(self, &mut **tx, tasks, now, finish)
    }
}

impl<'t> Enlist<&'t mut PoolConnection<Postgres>> for PostgresStore {
    type Reply<T: Send + 'static> = BoxFuture<'t, T>;

    fn enlist<T, F>(
        &self,
        tx: &'t mut PoolConnection<Postgres>,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
        finish: F,
    ) -> BoxFuture<'t, T>
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        Enlist::<&'t mut PgConnection>::enlist(self, &mut **tx, tasks, now, finish)
    }
}

async fn insert_through(
    inner: &Inner,
    conn: &mut PgConnection,
    tasks: &[NewTask],
    now: Timestamp,
) -> Result<Vec<Inserted>> {
    check::insert(tasks)?;
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = Tx::foreign(conn, Arc::clone(&inner.calls.queries), !inner.config.pooler);
    insert(inner, &mut tx, tasks, now)
        .await
        .map_err(|fault| store_error(fault, During::Foreign, &inner.calls.place))
}

async fn insert(inner: &Inner, tx: &mut Tx<'_>, tasks: &[NewTask], now: Timestamp) -> Outcome<Vec<Inserted>> {
    tx.require_transaction().await?;
    let newcomers: Vec<Newcomer<'_>> = tasks.iter().map(|new| Newcomer { new, edited: None }).collect();
    let inserted = insert::insert(tx, &newcomers, now).await?.answers;
    if inner.config.notify_in_tx && !tx.effects.woken.is_empty() {
        let woken = std::mem::take(&mut tx.effects.woken);
        let names: Vec<String> = woken.iter().map(Queue::as_str).map(str::to_owned).collect();
        let statement = tx
            .query(&tx.sql.notify)
            .bind(inner.config.schema.channel())
            .bind(names);
        tx.rows(statement).await?;
    }
    Ok(inserted)
}

//! An outbox in a table of the user's own database: rows that the user's transactions write, and a relay reads and removes.

mod builder;
mod schema;
mod write;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use retry_core::outbox::{OutboxName, OutboxRow, OutboxTable, Room, RowId, Waiting, check};
use retry_core::store::{Count, Result};
use retry_core::task::ErrorText;
use retry_core::time::Timestamp;
use sqlx::postgres::PgRow;

use crate::call::{Calls, Form, Work};
use crate::config::OpenError;
use crate::insert::altered;
use crate::pool::Pool;
use crate::queries::OutboxQueries;
use crate::record::{self, Read};
use crate::types::Id;

pub use builder::PostgresOutboxBuilder;

/// An [outbox](retry_core::outbox) in a table of your own PostgreSQL database, which needs nothing else of task-retry there.
///
/// Tasks are written with `client.enqueue(…).outbox(&outbox, &mut tx)` through a transaction, connection or pooled connection of
/// sqlx: one statement, one round trip, no commit of its own. Clones share the connections, which only a relay uses.
#[derive(Clone)]
pub struct PostgresOutbox {
    inner: Arc<Inner>,
}

/// What all clones share.
struct Inner {
    name: OutboxName,
    calls: Calls,
    pool: Arc<Pool>,
    sql: Arc<OutboxQueries>,
}

impl fmt::Debug for PostgresOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOutbox")
            .field("name", &self.inner.name)
            .field("place", &self.inner.calls.place)
            .finish_non_exhaustive()
    }
}

impl PostgresOutbox {
    /// Connects with the default options to the server of a `postgres://` URL, creating the table if there is none.
    ///
    /// `name` is how relays know the outbox: among the outboxes whose tasks go to one store it has to be unique, and the same in
    /// every program that uses this table.
    ///
    /// # Errors
    /// As [`PostgresOutboxBuilder::connect`].
    pub async fn connect(name: &str, url: &str) -> std::result::Result<Self, OpenError> {
        Self::builder(name, url).connect().await
    }

    /// Options of an outbox on the server of a `postgres://` URL. For `name` see [`connect`](Self::connect).
    pub fn builder(name: &str, url: &str) -> PostgresOutboxBuilder {
        PostgresOutboxBuilder::new(name, url)
    }

    /// Does the work on a connection of the outbox's own.
    async fn call<T: Send + 'static>(&self, form: Form, work: impl Work<T>) -> Result<T> {
        let (answer, _) = self.inner.calls.run(&self.inner.pool, form, work).await?;
        Ok(answer)
    }
}

#[async_trait]
impl OutboxTable for PostgresOutbox {
    fn name(&self) -> &OutboxName {
        &self.inner.name
    }

    async fn next(&self, handed: &[RowId], room: Room) -> Result<Vec<OutboxRow>> {
        check::next(handed, room)?;
        let form = if handed.is_empty() {
            Form::Read
        } else {
            Form::Write
        };
        let (handed, sql): (Arc<[RowId]>, _) = (Arc::from(handed), Arc::clone(&self.inner.sql));
        self.call(form, move |tx| {
            // Also where one lies that was set aside late.
            let aside = handed.iter().map(|row| row.seq.saturating_neg());
            let numbers: Vec<i64> = handed.iter().map(|row| row.seq).chain(aside).collect();
            let ids = handed.iter().chain(handed.iter()).map(|row| row.id.into());
            let ids: Vec<Id> = ids.collect();
            let statement = tx
                .query(&sql.next)
                .bind(numbers)
                .bind(ids)
                .bind(record::limit(room.rows))
                .bind(record::limit(room.bytes));
            Box::pin(async move {
                let rows = tx.rows(statement).await?;
                let read = rows.iter().map(read).collect::<Read<_>>();
                Ok(read.map_err(altered)?)
            })
        })
        .await
    }

    async fn set_aside(&self, row: RowId, reason: &ErrorText) -> Result<()> {
        let (reason, sql) = (reason.as_str().to_owned(), Arc::clone(&self.inner.sql));
        self.call(Form::Write, move |tx| {
            let statement = tx
                .query(&sql.set_aside)
                .bind(row.seq)
                .bind(Id::from(row.id))
                .bind(reason.clone());
            Box::pin(async move {
                tx.execute(statement).await?;
                Ok(())
            })
        })
        .await
    }

    async fn waiting(&self, cap: usize) -> Result<Waiting> {
        let sql = Arc::clone(&self.inner.sql);
        // One more than counts tells whether there are more.
        let most = record::limit(cap);
        self.call(Form::Read, move |tx| {
            let statement = tx.query(&sql.waiting).bind(most.saturating_add(1));
            Box::pin(async move {
                let row = tx.row(statement).await?;
                let row = row.ok_or(sqlx::Error::RowNotFound)?;
                let (rows, oldest) = (
                    record::value::<i64>(&row, 0),
                    record::value::<Option<i64>>(&row, 1),
                );
                let rows = rows.map_err(altered)?;
                let cap = u64::try_from(most).unwrap_or(0);
                Ok(Waiting {
                    rows: match u64::try_from(rows).unwrap_or(0) {
                        more if more > cap => Count::AtLeast(cap),
                        rows => Count::Exact(rows),
                    },
                    oldest: oldest.map_err(altered)?.map(Timestamp::from_millis),
                })
            })
        })
        .await
    }
}

fn read(row: &PgRow) -> Read<OutboxRow> {
    Ok(OutboxRow {
        row: RowId {
            seq: record::value(row, 0)?,
            id: record::value::<Id>(row, 1)?.into(),
        },
        created_at: Timestamp::from_millis(record::value(row, 2)?),
        body: record::value::<String>(row, 3)?.into_bytes(),
    })
}

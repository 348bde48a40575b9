//! An outbox in a table of the user's own database: rows that the user's transactions write, and a relay reads and removes.

mod builder;
mod queries;
mod schema;
mod write;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use retry_core::outbox::{OutboxName, OutboxRow, OutboxTable, Room, RowId, Waiting, check};
use retry_core::store::{Count, Result, StoreError, StoreErrorKind};
use retry_core::task::ErrorText;
use retry_core::time::Timestamp;
use sqlx::mysql::MySqlRow;

use crate::args::{Args, hex};
use crate::config::OpenError;
use crate::record::{self, Damage, Read};
use crate::store::MySqlStore;
use queries::OutboxQueries;

pub use builder::MySqlOutboxBuilder;

/// An [outbox](retry_core::outbox) in a table of your own MySQL or MariaDB database, which needs nothing else of task-retry there.
///
/// Tasks are written with `client.enqueue(…).outbox(&outbox, &mut tx)` through a transaction, connection or pooled connection of
/// sqlx: one round trip, no commit of its own. Clones share the connections, which only a relay uses.
///
/// It belongs to the tokio runtime on which it was connected.
#[derive(Clone)]
pub struct MySqlOutbox {
    inner: Arc<Inner>,
}

/// What all clones share.
struct Inner {
    name: OutboxName,
    /// Connections to the server, on which no table of a store is touched.
    server: MySqlStore,
    sql: Arc<OutboxQueries>,
    /// The server's address, the database and the table, for messages.
    place: String,
}

impl fmt::Debug for MySqlOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlOutbox")
            .field("name", &self.inner.name)
            .field("place", &self.inner.place)
            .finish_non_exhaustive()
    }
}

impl MySqlOutbox {
    /// Connects with the default options to `mysql://user:password@host:port/database`, creating the table if there is none.
    ///
    /// `name` is how relays know the outbox: among the outboxes whose tasks go to one store it has to be unique, and the same in
    /// every program that uses this table.
    ///
    /// # Errors
    /// As [`MySqlOutboxBuilder::connect`].
    pub async fn connect(name: &str, url: &str) -> std::result::Result<Self, OpenError> {
        Self::builder(name, url).connect().await
    }

    /// The options of an outbox at `mysql://user:password@host:port/database`. For `name` see [`connect`](Self::connect).
    pub fn builder(name: &str, url: &str) -> MySqlOutboxBuilder {
        MySqlOutboxBuilder::new(name, url)
    }
}

#[async_trait]
impl OutboxTable for MySqlOutbox {
    fn name(&self) -> &OutboxName {
        &self.inner.name
    }

    async fn next(&self, handed: &[RowId], room: Room) -> Result<Vec<OutboxRow>> {
        check::next(handed, room)?;
        let (list, sql) = (list(handed), Arc::clone(&self.inner.sql));
        let (most, bytes) = (record::length(room.rows), record::length(room.bytes));
        if handed.is_empty() {
            let read = self.inner.server.read(move |mut db, _| {
                let sql = Arc::clone(&sql);
                Box::pin(async move {
                    let rows = db.rows(&sql.next, Args::new().with(most).with(bytes)).await?;
                    rows.iter().map(read).collect()
                })
            });
            return read.await;
        }
        // Removed rows may be removed again: two statements in one round trip need no transaction around them.
        let work = self.inner.server.write_at_once(move |mut db, _| {
            let (sql, list) = (Arc::clone(&sql), list.clone());
            Box::pin(async move {
                let args = Args::new().with(list).with(most).with(bytes);
                let rows = db.texts(&sql.exchange, args).await?;
                rows.iter().map(read).collect()
            })
        });
        work.await
    }

    async fn set_aside(&self, row: RowId, reason: &ErrorText) -> Result<()> {
        let (reason, sql) = (reason.clone(), Arc::clone(&self.inner.sql));
        let work = self.inner.server.write(move |mut db, _| {
            let (reason, sql) = (reason.clone(), Arc::clone(&sql));
            Box::pin(async move {
                let args = Args::new().with(row.seq).with(row.seq);
                let place = db.row(&sql.place_aside, args).await?;
                let place = place.ok_or(sqlx::Error::RowNotFound)?;
                let args = Args::new()
                    .with(record::int(&place, 0).map_err(damaged)?)
                    .with(reason.as_str())
                    .with(row.seq)
                    .with(row.id.to_bytes());
                db.run(&sql.set_aside, args).await?;
                Ok(())
            })
        });
        work.await
    }

    async fn waiting(&self, cap: usize) -> Result<Waiting> {
        let sql = Arc::clone(&self.inner.sql);
        let most = record::length(cap);
        let work = self.inner.server.read(move |mut db, _| {
            let sql = Arc::clone(&sql);
            Box::pin(async move {
                // One more than counts tells whether there are more.
                let row = db
                    .row(&sql.waiting, Args::new().with(most.saturating_add(1)))
                    .await?;
                let row = row.ok_or(sqlx::Error::RowNotFound)?;
                let rows = u64::try_from(record::int(&row, 0).map_err(damaged)?).unwrap_or(0);
                let cap = u64::try_from(most).unwrap_or(0);
                Ok(Waiting {
                    rows: if rows > cap {
                        Count::AtLeast(cap)
                    } else {
                        Count::Exact(rows)
                    },
                    oldest: record::opt_int(&row, 1)
                        .map_err(damaged)?
                        .map(Timestamp::from_millis),
                })
            })
        });
        work.await
    }
}

/// The list of rows that the removal takes: each as it was, and where it lies if it was set aside late.
fn list(rows: &[RowId]) -> String {
    let row = |row: &RowId| {
        let (aside, id) = (row.seq.saturating_neg(), hex(&row.id.to_bytes()));
        format!("[{},\"{id}\"],[{aside},\"{id}\"]", row.seq)
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    format!("[{}]", rows.join(","))
}

fn read(row: &MySqlRow) -> crate::error::Outcome<OutboxRow> {
    let read = || -> Read<OutboxRow> {
        Ok(OutboxRow {
            row: RowId {
                seq: record::int(row, 0)?,
                id: retry_core::id::TaskId::from_bytes(record::id(row, 1)?),
            },
            created_at: Timestamp::from_millis(record::int(row, 2)?),
            body: record::opt_bytes(row, 3)?.unwrap_or_default().to_vec(),
        })
    };
    Ok(read().map_err(damaged)?)
}

fn damaged(Damage(reason): Damage) -> StoreError {
    let message = format!("a row of the outbox cannot be read: {reason}; somebody altered its table");
    StoreError::rejected(StoreErrorKind::Schema, message)
}

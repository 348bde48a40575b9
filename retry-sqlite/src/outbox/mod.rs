//! An outbox in a table of the user's own file: rows that the user's transactions write, and a relay reads and removes.

mod builder;
mod queries;
mod schema;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use retry_core::id::TaskId;
use retry_core::outbox::{OutboxName, OutboxRow, OutboxTable, Room, RowId, Waiting, check};
use retry_core::store::{Count, Result, StoreError, StoreErrorKind};
use retry_core::task::ErrorText;
use retry_core::time::Timestamp;
use rusqlite::{Connection, Row, params};
use tokio::sync::oneshot;

use crate::config::OpenError;
use crate::error::{During, Fault, Outcome, store_error};
use crate::readers::Readers;
use crate::record::{self, Read};
use queries::OutboxQueries;

pub use builder::SqliteOutboxBuilder;

/// An [outbox](retry_core::outbox) in a table of your own SQLite file, which needs nothing else of task-retry there.
///
/// Tasks are written with `client.enqueue(…).outbox(&outbox, &tx)?` through a connection, transaction or savepoint of rusqlite
/// that is open on this file. Clones share one connection and its thread, which only a relay uses: while nothing waits, it writes
/// nothing.
#[derive(Clone)]
pub struct SqliteOutbox {
    inner: Arc<Inner>,
}

/// What all clones share.
struct Inner {
    name: OutboxName,
    path: PathBuf,
    sql: Arc<OutboxQueries>,
    /// The one connection's.
    thread: Readers,
}

impl fmt::Debug for SqliteOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOutbox")
            .field("name", &self.inner.name)
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

impl SqliteOutbox {
    /// Opens the outbox in the file `path` with the default options, creating the file and the table if there are none.
    ///
    /// `name` is how relays know the outbox: among the outboxes whose tasks go to one store it has to be unique, and the same in
    /// every program that uses this table.
    ///
    /// # Errors
    /// As [`SqliteOutboxBuilder::build`].
    pub fn open(name: &str, path: impl AsRef<Path>) -> std::result::Result<Self, OpenError> {
        Self::builder(name, path).build()
    }

    /// Options of an outbox in the file `path`. For `name` see [`open`](Self::open).
    pub fn builder(name: &str, path: impl AsRef<Path>) -> SqliteOutboxBuilder {
        SqliteOutboxBuilder::new(name, path.as_ref())
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Does `work` on the outbox's own connection, to its end also when the caller is gone. What it leaves open is rolled back.
    async fn call<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &OutboxQueries) -> std::result::Result<T, Failed> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let (sql, path) = (Arc::clone(&self.inner.sql), self.inner.path.clone());
        let sent = self.inner.thread.send(Box::new(move |conn, _| {
            let worded = |Failed(during, fault)| store_error(fault, during, &path);
            // The caller may be gone.
            let _ = reply.send(work(conn, &sql).map_err(worded));
        }));
        let answer = if sent { answer.await.ok() } else { None };
        let gone = || StoreError::unknown(StoreErrorKind::Other, "the thread of the outbox ended");
        answer.unwrap_or_else(|| Err(gone()))
    }
}

/// A fault, and when it came.
struct Failed(During, Fault);

impl<F: Into<Fault>> From<F> for Failed {
    fn from(fault: F) -> Self {
        Self(During::Call, fault.into())
    }
}

#[async_trait]
impl OutboxTable for SqliteOutbox {
    fn name(&self) -> &OutboxName {
        &self.inner.name
    }

    async fn next(&self, handed: &[RowId], room: Room) -> Result<Vec<OutboxRow>> {
        check::next(handed, room)?;
        let handed = handed.to_vec();
        self.call(move |conn, sql| {
            if handed.is_empty() {
                return Ok(first(conn, sql, room)?);
            }
            in_transaction(conn, || {
                let mut remove = conn.prepare_cached(&sql.remove)?;
                for row in &handed {
                    // Also where it lies if it was set aside late.
                    for seq in [row.seq, row.seq.saturating_neg()] {
                        remove.execute(params![seq, row.id.to_bytes()])?;
                    }
                }
                first(conn, sql, room)
            })
        })
        .await
    }

    async fn set_aside(&self, row: RowId, reason: &ErrorText) -> Result<()> {
        let reason = reason.clone();
        self.call(move |conn, sql| {
            in_transaction(conn, || {
                let mut statement = conn.prepare_cached(&sql.set_aside)?;
                statement.execute(params![row.seq, row.id.to_bytes(), reason.as_str()])?;
                Ok(())
            })
        })
        .await
    }

    async fn waiting(&self, cap: usize) -> Result<Waiting> {
        let most = i64::try_from(cap).unwrap_or(i64::MAX);
        self.call(move |conn, sql| {
            let mut statement = conn.prepare_cached(&sql.waiting)?;
            // One more than counts tells whether there are more.
            let counted = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?));
            let (rows, oldest) = statement.query_row([most.saturating_add(1)], counted)?;
            let (rows, cap) = (rows.cast_unsigned(), most.cast_unsigned());
            Ok(Waiting {
                rows: if rows > cap {
                    Count::AtLeast(cap)
                } else {
                    Count::Exact(rows)
                },
                oldest: oldest.map(Timestamp::from_millis),
            })
        })
        .await
    }
}

/// Does what writes, behind the file's write lock from its beginning.
fn in_transaction<T>(conn: &Connection, work: impl FnOnce() -> Outcome<T>) -> std::result::Result<T, Failed> {
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let done = work()?;
    let committed = conn
        .prepare_cached("COMMIT")
        .and_then(|mut commit| commit.execute([]));
    match committed {
        Ok(_) => Ok(done),
        Err(error) => Err(Failed(During::Commit, error.into())),
    }
}

/// The first rows. What does not fit is not read.
fn first(conn: &Connection, sql: &OutboxQueries, room: Room) -> Outcome<Vec<OutboxRow>> {
    let mut first = conn.prepare_cached(&sql.first)?;
    let mut body = conn.prepare_cached(&sql.body)?;
    // Open until the last body is read, so that all is of one moment.
    let mut rows = first.query([i64::try_from(room.rows).unwrap_or(i64::MAX)])?;
    let (mut read, mut bytes) = (Vec::new(), 0usize);
    while let Some(row) = rows.next()? {
        let found = || -> Read<(RowId, Timestamp, usize)> {
            let id = TaskId::from_bytes(record::id(row, 1)?);
            let seq = record::int(row, 0)?;
            let length = usize::try_from(record::int(row, 3)?).unwrap_or(usize::MAX);
            Ok((
                RowId { seq, id },
                Timestamp::from_millis(record::int(row, 2)?),
                length,
            ))
        };
        let (row, created_at, length) = found().map_err(|damage| damaged(conn, damage.0))?;
        bytes = bytes.saturating_add(length);
        if bytes > room.bytes && !read.is_empty() {
            break;
        }
        let body = body.query_row([row.seq], |row| {
            let bytes = row.get_ref(0)?.as_bytes_or_null();
            Ok(bytes.ok().flatten().unwrap_or_default().to_vec())
        })?;
        read.push(OutboxRow {
            row,
            created_at,
            body,
        });
    }
    Ok(read)
}

fn damaged(conn: &Connection, reason: &str) -> StoreError {
    let message = format!(
        "{}: a row of the outbox cannot be read: {reason}; repair or delete it",
        conn.path().unwrap_or_default()
    );
    StoreError::rejected(StoreErrorKind::Corrupt, message)
}

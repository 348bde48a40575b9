//! The table in the user's own database, as the relay meets it.

use std::fmt;

use async_trait::async_trait;

use crate::id::TaskId;
use crate::name::{Kind, OutboxName};
use crate::store::{Count, Result};
use crate::task::ErrorText;
use crate::time::Timestamp;

/// A row of an outbox: the number that its table gave it, and its task's id. Both together name it, because a table that
/// was restored from a backup gives the same numbers again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    /// Its number: positive, greater than those of all rows that were committed before its transaction wrote it.
    pub seq: i64,
    /// The task's id.
    pub id: TaskId,
}

/// A row to write. Exhaustive on purpose: what a table must keep is part of the contract.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRow {
    /// The task's id.
    pub id: TaskId,
    /// Its kind, for operators: a table need not keep it, and never gives it back.
    pub kind: Kind,
    /// When it was written, by the clock of the program that wrote it: as the store that it goes to told the time, if the program
    /// has asked it.
    pub created_at: Timestamp,
    /// The task: UTF-8 text of at most [`MAX_OUTBOX_BODY_BYTES`](crate::limits::MAX_OUTBOX_BODY_BYTES), to be kept byte for byte.
    pub body: Vec<u8>,
}

/// A row as it is read. Exhaustive on purpose, as [`NewRow`] is.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its name.
    pub row: RowId,
    /// When it was written, by the clock of the program that wrote it.
    pub created_at: Timestamp,
    /// The task, as it was written. Of one above [`MAX_OUTBOX_BODY_BYTES`](crate::limits::MAX_OUTBOX_BODY_BYTES), which nobody here
    /// writes, a beginning that is above it too will do: it is set aside.
    pub body: Vec<u8>,
}

impl fmt::Debug for NewRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewRow({}, {} bytes)", self.id, self.body.len())
    }
}

impl fmt::Debug for OutboxRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutboxRow({:?}, {} bytes)", self.row, self.body.len())
    }
}

/// What one answer may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Rows, at least 1.
    pub rows: usize,
    /// Bytes of all their bodies together. The first row is answered however large it is.
    pub bytes: usize,
}

/// What waits in an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Rows that wait.
    pub rows: Count,
    /// When the first of them was written.
    pub oldest: Option<Timestamp>,
}

/// A table of tasks that wait to be handed over to a store. See the [module's laws](super).
///
/// Every call checks its bounds first and answers [`StoreErrorKind::Invalid`](crate::store::StoreErrorKind::Invalid) before
/// any write. No method retries what may have been written. All are called outside the user's transactions, on connections
/// of the table's own, and see what is committed.
#[async_trait]
pub trait OutboxTable: fmt::Debug + Send + Sync + 'static {
    /// Its name, by which its relays know one another.
    fn name(&self) -> &OutboxName;

    /// Removes the rows that were `handed` over (at most [`MAX_BATCH`](crate::limits::MAX_BATCH)), by number and id and also
    /// those that were set aside meanwhile, and answers the first of those that wait (laws 3, 4, 5). One exchange with the database.
    ///
    /// # Errors
    /// The database failed, or `handed` or `room` is out of bounds. Rows may be removed when the outcome is unknown; the same
    /// call may be repeated.
    async fn next(&self, handed: &[RowId], room: Room) -> Result<Vec<OutboxRow>>;

    /// Takes a row out of the order and keeps it with the reason, for an operator: it is answered no more and does not count
    /// as waiting. Ok for a row that is not there, and when it is repeated.
    ///
    /// # Errors
    /// The database failed.
    async fn set_aside(&self, row: RowId, reason: &ErrorText) -> Result<()>;

    /// What waits, at most `cap` rows counted.
    ///
    /// # Errors
    /// The database failed.
    async fn waiting(&self, cap: usize) -> Result<Waiting>;
}

#[cfg(test)]
const fn _object_safe(_: &dyn OutboxTable) {}

//! What the author of an outbox's table provides: empty tables, and transactions that write into them.

use std::sync::Arc;

use async_trait::async_trait;
use retry_core::id::TaskId;
use retry_core::outbox::{NewRow, OutboxTable};
use retry_core::store::Result as StoreResult;

use crate::harness::Skip;

/// Makes empty tables. Every case gets one of its own.
#[async_trait]
pub trait OutboxHarness: Send + Sync + 'static {
    /// The table's name: the first part of every test's name, and what `RETRY_REQUIRE` lists.
    fn name(&self) -> &str;

    /// Whether two transactions may both have written while both are open. A database with one writer at a time says no.
    fn overlaps(&self) -> bool {
        true
    }

    /// Whether [`Transaction::savepoint`] works.
    fn has_savepoints(&self) -> bool {
        false
    }

    /// An empty table that nothing else uses.
    ///
    /// # Errors
    /// [`Skip`] when what it needs, such as a server, is not there.
    async fn fresh(&self) -> Result<Box<dyn OutboxInstance>, Skip>;
}

/// One empty table. Dropping it may remove its data.
#[async_trait]
pub trait OutboxInstance: Send + Sync {
    /// The table, as a relay has it; each call may answer another handle.
    fn table(&self) -> Arc<dyn OutboxTable>;

    /// Begins a transaction as a user of the table does, on a connection of its own.
    async fn begin(&self) -> Box<dyn Transaction>;

    /// The tasks of all rows that are set aside, in any order, as an operator finds them.
    async fn aside(&self) -> Vec<TaskId>;
}

/// A transaction that is open. Dropping it rolls it back.
#[async_trait]
pub trait Transaction: Send {
    /// Writes rows by [`WriteOutbox`](retry_core::outbox::WriteOutbox).
    async fn write(&mut self, rows: Vec<NewRow>) -> StoreResult<()>;

    /// Writes rows behind a savepoint, and rolls back to it.
    async fn savepoint(&mut self, rows: Vec<NewRow>) -> StoreResult<()> {
        panic!("the harness declares savepoints; implement `Transaction::savepoint` for {rows:?}")
    }

    /// Commits; when it returns, the rows can be read.
    async fn commit(self: Box<Self>);

    /// Rolls back.
    async fn roll_back(self: Box<Self>);
}

//! The checks of an outbox's table: what every [`OutboxTable`](retry_core::outbox::OutboxTable) must do, by its laws `O1` to `O7`.
//!
//! The whole of a test program with `harness = false` is an [`OutboxHarness`] and one line:
//!
//! ```no_run
//! use std::{process::ExitCode, sync::Arc};
//! use conformance_tests::Skip;
//! use conformance_tests::outbox::{OutboxHarness, OutboxInstance, Transaction, run};
//! use retry_core::id::TaskId;
//! use retry_core::outbox::{MemoryOutbox as MyOutbox, MemoryOutboxTransaction, NewRow, OutboxName}; // yours
//! use retry_core::outbox::{OutboxTable, WriteOutbox};
//! use retry_core::store::Result as StoreResult;
//!
//! struct Mine;
//!
//! #[async_trait::async_trait]
//! impl OutboxHarness for Mine {
//!     fn name(&self) -> &str { "mine" }
//!
//!     async fn fresh(&self) -> Result<Box<dyn OutboxInstance>, Skip> {
//!         Ok(Box::new(Fresh(MyOutbox::new(OutboxName::new("mine").expect("a name")))))
//!     }
//! }
//!
//! struct Fresh(MyOutbox);
//!
//! #[async_trait::async_trait]
//! impl OutboxInstance for Fresh {
//!     fn table(&self) -> Arc<dyn OutboxTable> { Arc::new(self.0.clone()) }
//!
//!     async fn begin(&self) -> Box<dyn Transaction> { Box::new(Open(self.0.clone(), self.0.begin())) }
//!
//!     async fn aside(&self) -> Vec<TaskId> { self.0.aside().iter().map(|(row, _)| row.row.id).collect() }
//! }
//!
//! struct Open(MyOutbox, MemoryOutboxTransaction);
//!
//! #[async_trait::async_trait]
//! impl Transaction for Open {
//!     async fn write(&mut self, rows: Vec<NewRow>) -> StoreResult<()> {
//!         self.0.write(&mut self.1, Ok(rows), |answer| answer)
//!     }
//!
//!     async fn commit(self: Box<Self>) { self.1.commit() }
//!
//!     async fn roll_back(self: Box<Self>) { self.1.rollback() }
//! }
//!
//! fn main() -> ExitCode { run([Mine]) }
//! ```

mod cases;
mod concurrent;
mod harness;
pub mod mutants;
mod rows;
mod runner;

pub use cases::CASES;
pub use harness::{OutboxHarness, OutboxInstance, Transaction};
pub use runner::{Case, run, run_case, trials};

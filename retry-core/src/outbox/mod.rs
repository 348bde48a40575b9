//! The outbox: tasks for a store that cannot join the user's transaction, written in that transaction and handed over later.
//!
//! `client.enqueue(x).outbox(&outbox, &mut tx)` writes a row into a table of the user's own database; when the transaction
//! commits, the row is there, and a relay hands its task over to the store of `client`: Redis, sled, another database.
//! Each task is created there exactly once, in the order of the rows' numbers. How that is so, whatever fails, is told in
//! `docs/design/outbox.md`.
//!
//! # The laws of a table
//!
//! - **O1** *A row is its transaction's*: it can be read when that has committed, and never if it rolled back, also to a
//!   savepoint taken before. It is as durable as what else the transaction wrote.
//! - **O2** *Order*: rows of one transaction in the order in which they were written; a row that is written after another was
//!   committed comes behind it. Numbers need not be dense.
//! - **O3** *Nothing is passed over*: an answer has the first rows of all that can be read now. A row that can be read only
//!   now, and has a lower number than others that were answered or removed before, comes first in the next answer.
//! - **O4** *What is handed over goes*: a row is removed by its number and its id together, durably, and is in no later answer,
//!   this one included, also if it was set aside meanwhile, so that nobody puts it back. A row that is not there is passed over,
//!   so that a repeated call converges.
//! - **O5** *Else it stays*: a row is answered again and again, to whoever asks, until it was handed over or set aside.
//! - **O6** *Bytes come back as they went in*; so does the time.
//! - **O7** *Bounded work*: a call costs in proportion to what it carries and answers, not to what waits, nor to what
//!   was removed before, but for removed rows that the database could not clean up yet, because a snapshot still sees them.

mod body;
pub mod check;
mod memory;
mod relay;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub use memory::{MemoryOutbox, MemoryOutboxTransaction};
pub use relay::{BuildError, Counts, Lag, OutboxRelay, OutboxRelayBuilder, OutboxRelayHandle, OutboxWaker};
pub use table::{NewRow, OutboxRow, OutboxTable, Room, RowId, Waiting};
pub use write::WriteOutbox;

pub use crate::name::OutboxName;
pub(crate) use body::encode;

use crate::store::{Result, StoreError, TaskStore};

/// Refuses a store with parts: a hand-over is one write, and so reaches one part only.
pub(crate) fn refuse_parts(store: &dyn TaskStore) -> Result<()> {
    if store.parts().is_empty() {
        return Ok(());
    }
    Err(StoreError::invalid(
        "an outbox hands over to a store without parts; use one outbox and one client for each part of a sharded store",
    ))
}

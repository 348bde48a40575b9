//! The relay: hands the rows of an outbox over to a store, in order, each task exactly once.
//!
//! It is a task of that store, the *owner task*: an ordinary worker claims it and runs it for a turn after the other. Who runs
//! it is the only one that hands over (law 3 of the store's contract), and what it hands over is one write with its checkpoint,
//! which names the rows (laws 6 and 8). The proof is in `docs/design/outbox.md`.

mod builder;
mod handle;
mod owner;
mod turn;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use builder::{BuildError, OutboxRelay, OutboxRelayBuilder};
pub use handle::{Counts, Lag, OutboxRelayHandle, OutboxWaker};

use super::table::OutboxTable;
use crate::client::Client;
use crate::clock::Clock;
use crate::store::{Result, StoreError, StoreErrorKind};

/// How long a call of the outbox's database may take before it is given up: longer than a fail-over's pause, and than users' locks
/// stand in its way, which they do only where one writes at a time (SQLite).
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// How a relay works.
#[derive(Debug, Clone)]
struct Options {
    /// The first and the longest pause before an outbox in which nothing waits is looked at again.
    poll: (Duration, Duration),
    /// Rows of one hand-over.
    batch: usize,
}

/// What everything in a running relay shares.
#[derive(Debug)]
struct Shared {
    table: Arc<dyn OutboxTable>,
    /// Of the store to which it hands over.
    client: Client,
    clock: Arc<dyn Clock>,
    options: Options,
    counts: Counters,
    /// Told when a transaction was committed in this process.
    wake: Arc<Notify>,
    /// Told when the relay is to stop.
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Counters {
    handed_over: AtomicU64,
    set_aside: AtomicU64,
}

fn count(counter: &AtomicU64, rows: usize) {
    counter.fetch_add(rows as u64, Ordering::Relaxed);
}

impl Shared {
    /// Waits for a call no longer than a limit, so that a dead connection keeps nobody for ever. A driver that panics
    /// has failed the call.
    async fn within<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let over = self.clock.sleep_until(self.clock.monotonic() + CALL_LIMIT);
        let call = AssertUnwindSafe(call).catch_unwind();
        match select(std::pin::pin!(call), over).await {
            Either::Left((answer, _)) => answer.unwrap_or_else(|_| {
                let message = "the database's driver panicked";
                Err(StoreError::unknown(StoreErrorKind::Other, message))
            }),
            Either::Right(((), _)) => Err(StoreError::unknown(
                StoreErrorKind::Unavailable,
                format!("no answer within {CALL_LIMIT:?}"),
            )),
        }
    }
}

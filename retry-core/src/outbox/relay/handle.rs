//! A running relay.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;

use super::Shared;
use crate::engine::WorkerHandle;
use crate::id::Shard;
use crate::limits::MAX_EXAMINED;
use crate::store::{Count, Result};

/// What a relay has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Rows that it handed over. One whose task was kept out by the holder of its unique key counts, too.
    pub handed_over: u64,
    /// Rows that it set aside, because nothing can take them.
    pub set_aside: u64,
}

/// How far the hand-over is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// Rows that wait, counted up to 10,000.
    pub rows: Count,
    /// The age of the oldest of them, zero when none waits.
    pub age: Duration,
}

/// Tells a relay in the same process that a transaction with a row of its outbox has been committed: it looks at once instead
/// of at its next round. Nothing depends on it.
#[derive(Debug, Clone)]
pub struct OutboxWaker(pub(super) Arc<Notify>);

impl OutboxWaker {
    /// Has the relay look.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// A running relay.
#[derive(Debug)]
#[must_use = "a dropped handle stops the relay"]
pub struct OutboxRelayHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) worker: Option<WorkerHandle>,
}

impl OutboxRelayHandle {
    /// What this relay has done so far. Others of the same outbox count for themselves.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let counts = &self.shared.counts;
        Counts {
            handed_over: counts.handed_over.load(Ordering::Relaxed),
            set_aside: counts.set_aside.load(Ordering::Relaxed),
        }
    }

    /// How far the hand-over is behind, whichever relay does it: one read of the outbox. The store need not answer; the time is
    /// as it told it last, or the machine's. Cancel-safe.
    ///
    /// # Errors
    /// The outbox's database failed.
    pub async fn lag(&self) -> Result<Lag> {
        self.shared.lag().await
    }

    /// What tells this relay of commits in the same process.
    #[must_use]
    pub fn waker(&self) -> OutboxWaker {
        OutboxWaker(Arc::clone(&self.shared.wake))
    }

    /// Stops gracefully: the hand-over under way ends, its rows are removed from the outbox, and another relay may go on at
    /// once. What takes longer than two seconds is given up, so it ends also when neither database answers.
    ///
    /// If this future is dropped, the relay stops as it would by a crash: another one goes on when its lease has ended.
    pub async fn shutdown(mut self) {
        self.shared.stop.cancel();
        if let Some(worker) = self.worker.take() {
            worker.shutdown().await;
        }
    }
}

impl Drop for OutboxRelayHandle {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Shared {
    pub(super) async fn lag(&self) -> Result<Lag> {
        let waiting = self.within(self.table.waiting(MAX_EXAMINED)).await?;
        let now = self.client.local_now(Shard::default());
        Ok(Lag {
            rows: waiting.rows,
            age: waiting
                .oldest
                .map_or(Duration::ZERO, |oldest| now.saturating_since(oldest)),
        })
    }
}

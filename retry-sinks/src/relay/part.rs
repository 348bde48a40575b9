//! What the partitions of one part of the store share: the store, its time, and the seams to the world.

use std::sync::Arc;
use std::time::Duration;

use retry_core::clock::{Clock, SyncedClock};
use retry_core::id::Nonce;
use retry_core::machine::{Event, Rejected, transition};
use retry_core::name::WorkerName;
use retry_core::seams::Random;
use retry_core::store::{Result, StoreError, StoreErrorKind, TaskStore};
use retry_core::task::{Edit, Task};
use retry_core::time::Timestamp;

/// One part of the store.
#[derive(Debug)]
pub(super) struct Part {
    /// Which of the store's parts it is.
    pub(super) index: usize,
    pub(super) store: Arc<dyn TaskStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) name: WorkerName,
    pub(super) lease: Duration,
    time: SyncedClock,
}

impl Part {
    pub(super) fn new(
        index: usize,
        store: Arc<dyn TaskStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        name: WorkerName,
        lease: Duration,
    ) -> Self {
        Self {
            index,
            store,
            time: SyncedClock::new(Arc::clone(&clock)),
            clock,
            random,
            name,
            lease,
        }
    }

    /// The store's time; asks the store when the last answer is old.
    pub(super) async fn now(&self) -> Result<Timestamp> {
        if self.time.is_due() {
            let sent = self.clock.monotonic();
            let time = self.store.time().await?;
            let received = self.clock.monotonic();
            // A reading is as uncertain as half the delay of its answer, and leases are judged by it.
            if received.saturating_since(sent) > self.lease / 3 {
                let message = "the store took too long to tell the time";
                return Err(StoreError::unknown(StoreErrorKind::Unavailable, message));
            }
            self.time.record(time, sent, received);
        }
        Ok(self.time.now())
    }

    /// The store's time as it was last known.
    pub(super) fn last_now(&self) -> Timestamp {
        self.time.now()
    }

    /// The edit by which `event` changes `task`.
    pub(super) fn edit(&self, task: &Task, event: Event) -> std::result::Result<Edit, Rejected> {
        let action = transition(task, event, self.last_now(), self.random.next_u64())?;
        Ok(Edit {
            id: task.id,
            version: task.version,
            nonce: Nonce::from_random(self.random.next_u64()),
            action,
            insert: Vec::new(),
        })
    }

    /// `span`, shortened by up to a fifth, so that owners do not move in step.
    pub(super) fn jittered(&self, span: Duration) -> Duration {
        let fifth = u64::try_from(span.as_millis() / 5).unwrap_or(u64::MAX - 1);
        span.saturating_sub(Duration::from_millis(self.random.next_u64() % (fifth + 1)))
    }
}

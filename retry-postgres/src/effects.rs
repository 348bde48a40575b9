//! What a write causes outside the database, done when its commit is visible.

use std::collections::BTreeSet;
use std::time::Duration;

use retry_core::name::Queue;
use retry_core::time::Timestamp;

/// Tasks due within this time wake the workers: it covers the longest pause between two of a worker's own looks at the
/// store, so that a task due a moment after its insert is not late by that pause.
const WAKE_AHEAD: Duration = Duration::from_secs(2);

/// The queues to wake.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) woken: BTreeSet<Queue>,
}

impl Effects {
    /// A pending row was written.
    pub(crate) fn pending(&mut self, queue: &Queue, run_at: Timestamp, now: Timestamp) {
        if run_at <= now.saturating_add(WAKE_AHEAD) && !self.woken.contains(queue) {
            self.woken.insert(queue.clone());
        }
    }
}

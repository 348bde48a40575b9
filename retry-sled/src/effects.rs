//! What a write causes outside the files, done when its commit is visible and on the disk.

use std::time::Duration;

use retry_core::name::Queue;
use retry_core::task::{State, Task};
use retry_core::time::Timestamp;

/// Tasks due within this time wake the workers: it covers the longest pause between two of a worker's own looks at the
/// store, so that a task due a moment after its insert is not late by that pause.
const WAKE_AHEAD: Duration = Duration::from_secs(2);

/// The queues to wake.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) woken: Vec<Queue>,
}

impl Effects {
    /// A task was written.
    pub(crate) fn written(&mut self, task: &Task, now: Timestamp) {
        if task.state == State::Pending && task.run_at <= now.saturating_add(WAKE_AHEAD) {
            self.wake(&task.queue);
        }
    }

    pub(crate) fn wake(&mut self, queue: &Queue) {
        if !self.woken.contains(queue) {
            self.woken.push(queue.clone());
        }
    }

    /// Takes over the effects of one write of a group.
    pub(crate) fn merge(&mut self, other: Self) {
        other.woken.iter().for_each(|queue| self.wake(queue));
    }
}

//! A claimed task that is to run: its record is shared by the lease, the context and the settle.

use std::sync::Arc;

use super::kind::KindEntry;
use super::worker::Setup;
use crate::executor::Carried;
use crate::payload::Payload;
use crate::task::{ClaimedTask, Task};

#[derive(Debug)]
pub(super) struct Runnable {
    pub(super) task: Arc<Task>,
    pub(super) payload: Payload,
    pub(super) carried: Carried,
    /// How it is run; none for a kind that was not asked for.
    pub(super) entry: Option<Arc<KindEntry>>,
}

impl Runnable {
    pub(super) fn new(claimed: ClaimedTask, setup: &Setup) -> Self {
        let ClaimedTask {
            task,
            payload,
            headers,
            checkpoint,
            completion,
        } = claimed;
        let entry = setup.kinds.get(&task.kind).cloned();
        Self {
            task: Arc::new(task),
            payload,
            carried: Carried {
                headers,
                checkpoint,
                completion,
            },
            entry,
        }
    }

    /// Whether it may wait for a permit: its kind is claimed ahead.
    pub(super) fn may_wait(&self) -> bool {
        self.entry.as_ref().is_none_or(|entry| entry.prefetch)
    }
}

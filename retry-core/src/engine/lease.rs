//! The lease on one running task: its record as this attempt knows it, and its checkpoints.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::held::{Cancel, CancelReason};
use super::outbox::Role;
use super::part::Part;
use crate::executor::{Attempt, LeaseLost};
use crate::machine::Event;
use crate::payload::Payload;
use crate::store::Applied;
use crate::task::Task;

#[derive(Debug)]
pub(super) struct Lease {
    part: Arc<Part>,
    /// As it was claimed.
    claimed: Arc<Task>,
    /// Raised by each checkpoint.
    version: AtomicU64,
    cancel: Cancel,
    /// Held from a checkpoint's sending to its answer, so that the settle is decided on the version after it. There is
    /// none before the first checkpoint.
    writing: OnceLock<Arc<tokio::sync::Mutex<()>>>,
}

impl Lease {
    pub(super) fn new(part: Arc<Part>, claimed: Arc<Task>, cancel: Cancel) -> Arc<Self> {
        Arc::new(Self {
            part,
            version: AtomicU64::new(claimed.version),
            claimed,
            cancel,
            writing: OnceLock::new(),
        })
    }

    /// The record on which the attempt's outcome is to be decided. Waits for a checkpoint under way, also one whose
    /// caller went away.
    pub(super) async fn settled_task(&self) -> Arc<Task> {
        let Some(writing) = self.writing.get() else {
            return self.task();
        };
        let _written = writing.lock().await;
        self.task()
    }

    /// The record as it is stored now.
    fn task(&self) -> Arc<Task> {
        let version = self.version();
        if version == self.claimed.version {
            return Arc::clone(&self.claimed);
        }
        Arc::new(Task {
            version,
            ..Task::clone(&self.claimed)
        })
    }

    fn written(&self, applied: &Applied) -> Result<(), LeaseLost> {
        match applied {
            Applied::Done { .. } | Applied::Repeated => {
                self.version.fetch_add(1, Ordering::AcqRel);
                Ok(())
            }
            _ => {
                self.cancel.cancel(CancelReason::LeaseLost);
                Err(LeaseLost)
            }
        }
    }
}

#[async_trait]
impl Attempt for Lease {
    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    async fn checkpoint(self: Arc<Self>, checkpoint: Payload) -> Result<(), LeaseLost> {
        let writing = Arc::clone(self.writing.get_or_init(Arc::default));
        let writing = writing.lock_owned().await;
        let edit = self
            .part
            .edit(&self.task(), Event::Checkpoint { checkpoint })
            .map_err(|_| LeaseLost)?;
        let (reply, answer) = oneshot::channel();
        let part = Arc::clone(&self.part);
        let on_applied = move |applied: &Applied| {
            // A caller that went away needs no answer; the version is noted all the same.
            let _ = reply.send(self.written(applied));
            drop(writing);
        };
        part.send(edit, Role::Progress(Box::new(on_applied)));
        answer.await.unwrap_or(Err(LeaseLost))
    }
}

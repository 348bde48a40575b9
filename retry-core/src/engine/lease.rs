//! The lease on one running task: its record as this attempt knows it, and its checkpoints.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::held::{Cancel, CancelReason};
use super::outbox::Role;
use super::part::{Part, lock};
use crate::executor::{Attempt, LeaseLost};
use crate::machine::Event;
use crate::payload::Payload;
use crate::store::Applied;
use crate::task::Task;

#[derive(Debug)]
pub(super) struct Lease {
    part: Arc<Part>,
    task: Mutex<Task>,
    cancel: Cancel,
    /// Held from a checkpoint's sending to its answer, so that the settle is decided on the version after it.
    writing: Arc<tokio::sync::Mutex<()>>,
}

impl Lease {
    pub(super) fn new(part: Arc<Part>, task: Task, cancel: Cancel) -> Arc<Self> {
        Arc::new(Self {
            part,
            task: Mutex::new(task),
            cancel,
            writing: Arc::default(),
        })
    }

    /// The record on which the attempt's outcome is to be decided. Waits for a checkpoint under way, also one whose
    /// caller went away.
    pub(super) async fn settled_task(&self) -> Task {
        let _written = self.writing.lock().await;
        lock(&self.task).clone()
    }

    fn written(&self, applied: &Applied) -> Result<(), LeaseLost> {
        match applied {
            Applied::Done { .. } | Applied::Repeated => {
                lock(&self.task).version += 1;
                Ok(())
            }
            _ => {
                self.cancel.cancel(CancelReason::LeaseLost);
                Err(LeaseLost)
            }
        }
    }
}

/// What a context holds: the lease, shared.
#[derive(Debug)]
pub(super) struct Handle(pub(super) Arc<Lease>);

#[async_trait]
impl Attempt for Handle {
    fn version(&self) -> u64 {
        lock(&self.0.task).version
    }

    async fn checkpoint(&self, checkpoint: Payload) -> Result<(), LeaseLost> {
        let lease = Arc::clone(&self.0);
        let writing = Arc::clone(&lease.writing).lock_owned().await;
        let task = lock(&lease.task).clone();
        let edit = lease
            .part
            .edit(&task, Event::Checkpoint { checkpoint })
            .map_err(|_| LeaseLost)?;
        let (reply, answer) = oneshot::channel();
        let part = Arc::clone(&lease.part);
        let on_applied = move |applied: &Applied| {
            // A caller that went away needs no answer; the version is noted all the same.
            let _ = reply.send(lease.written(applied));
            drop(writing);
        };
        part.send(edit, Role::Progress(Box::new(on_applied)));
        answer.await.unwrap_or(Err(LeaseLost))
    }
}

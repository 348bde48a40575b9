//! The lease on one running task: its record as this attempt knows it, and its checkpoints.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

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
    /// As it was claimed.
    claimed: Arc<Task>,
    /// Raised by each checkpoint.
    version: AtomicU64,
    cancel: Cancel,
    /// Held from a checkpoint's sending to its answer, so that the settle is decided on the version after it. There is
    /// none before the first checkpoint.
    writing: OnceLock<Arc<tokio::sync::Mutex<()>>>,
    /// A run on a copy: its checkpoints are kept here and sent nowhere.
    copy: Option<Mutex<Vec<Payload>>>,
}

impl Lease {
    pub(super) fn new(part: Arc<Part>, claimed: Arc<Task>, cancel: Cancel) -> Arc<Self> {
        Arc::new(Self {
            part,
            version: AtomicU64::new(claimed.version),
            claimed,
            cancel,
            writing: OnceLock::new(),
            copy: None,
        })
    }

    /// A lease that nobody holds, on a copy of a task: for a run that reaches no store.
    pub(super) fn on_copy(part: Arc<Part>, copy: Arc<Task>) -> Arc<Self> {
        Arc::new(Self {
            part,
            version: AtomicU64::new(copy.version),
            claimed: copy,
            cancel: Cancel::default(),
            writing: OnceLock::new(),
            copy: Some(Mutex::default()),
        })
    }

    pub(super) const fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The checkpoints of a run on a copy.
    pub(super) fn take_checkpoints(&self) -> Vec<Payload> {
        self.copy
            .as_ref()
            .map(|kept| std::mem::take(&mut *lock(kept)))
            .unwrap_or_default()
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

    fn is_dry_run(&self) -> bool {
        self.copy.is_some() || self.part.engine.setup.dry_run
    }

    async fn checkpoint(self: Arc<Self>, checkpoint: Payload) -> Result<(), LeaseLost> {
        if let Some(kept) = &self.copy {
            lock(kept).push(checkpoint);
            self.version.fetch_add(1, Ordering::AcqRel);
            return Ok(());
        }
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

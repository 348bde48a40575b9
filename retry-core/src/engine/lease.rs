//! The lease on one running task: its record as this attempt knows it, its checkpoints, and the children it inserts before
//! it ends.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::held::{Cancel, CancelReason};
use super::outgoing::Role;
use super::part::{Part, lock};
use super::settle;
use crate::clock::Clock as _;
use crate::draft::{Draft, InvalidTask};
use crate::executor::{Attempt, LeaseLost, NotWritten, Progress};
use crate::headers::Headers;
use crate::id::TaskId;
use crate::limits::MAX_BATCH;
use crate::machine::Event;
use crate::payload::Payload;
use crate::store::{self, Applied, Inserted, Listed, Page, StoreError, TaskFilter};
use crate::task::{Children, NewTask, Task};
use crate::time::Timestamp;

#[derive(Debug)]
pub(super) struct Lease {
    part: Arc<Part>,
    /// As it was claimed.
    claimed: Arc<Task>,
    /// Raised by each checkpoint.
    version: AtomicU64,
    /// Children inserted by this attempt. Some may have ended since, but an end decided on the record must count with them:
    /// only a parent that may have open children gets the alarm by which they are cancelled.
    children: AtomicU32,
    cancel: Cancel,
    /// Held from a checkpoint's sending to its answer, so that the settle is decided on the version after it. There is
    /// none before the first checkpoint.
    writing: OnceLock<Arc<tokio::sync::Mutex<()>>>,
    /// A run on a copy: what it writes is kept here and sent nowhere.
    copy: Option<Mutex<Written>>,
}

/// What a run on a copy would have written before its end.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) checkpoints: Vec<Payload>,
    /// The first of them; the others are only counted.
    pub(super) children: Vec<NewTask>,
    pub(super) count: u32,
}

impl Lease {
    pub(super) fn new(part: Arc<Part>, claimed: Arc<Task>, cancel: Cancel) -> Arc<Self> {
        Arc::new(Self {
            part,
            version: AtomicU64::new(claimed.version),
            children: AtomicU32::new(0),
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
            children: AtomicU32::new(0),
            claimed: copy,
            cancel: Cancel::default(),
            writing: OnceLock::new(),
            copy: Some(Mutex::default()),
        })
    }

    pub(super) const fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// What a run on a copy would have written before its end.
    pub(super) fn take_written(&self) -> Written {
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
        let (claimed, new) = (&self.claimed, self.children.load(Ordering::Acquire));
        Arc::new(Task {
            version,
            children: Children {
                total: claimed.children.total.saturating_add(new),
                open: claimed.children.open.saturating_add(new),
                failed: claimed.children.failed,
            },
            ..Task::clone(claimed)
        })
    }

    /// `sent`: what went with it.
    fn written(&self, applied: &Applied, sent: Sent) -> Result<(), LeaseLost> {
        let children = match (sent, applied) {
            (Sent::Tasks, _) => 0,
            (Sent::Children(_), Applied::Done { inserted, .. }) => {
                inserted.iter().filter(|inserted| is_new(inserted)).count()
            }
            (Sent::Children(sent), _) => sent,
        };
        match applied {
            Applied::Done { .. } | Applied::Repeated => {
                self.version.fetch_add(1, Ordering::AcqRel);
                self.children
                    .fetch_add(u32::try_from(children).unwrap_or(u32::MAX), Ordering::AcqRel);
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

    fn now(&self) -> Timestamp {
        self.part.clock.now()
    }

    async fn checkpoint(self: Arc<Self>, progress: Progress) -> Result<(), NotWritten> {
        self.progress(progress, Vec::new(), Sent::Children(0)).await
    }

    fn child(&self, id: TaskId, draft: Draft, headers: &Headers) -> Result<NewTask, InvalidTask> {
        settle::child(&self.part, &self.claimed, headers, id, draft)
    }

    async fn insert_children(
        self: Arc<Self>,
        progress: Progress,
        children: Vec<NewTask>,
    ) -> Result<(), NotWritten> {
        let sent = Sent::Children(children.len());
        self.progress(progress, children, sent).await
    }

    async fn insert_tasks(
        self: Arc<Self>,
        progress: Progress,
        tasks: Vec<NewTask>,
    ) -> Result<(), NotWritten> {
        self.progress(progress, tasks, Sent::Tasks).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> store::Result<Listed> {
        // A copy runs beside a store of its own, which is empty.
        let store = match &self.copy {
            Some(_) => &self.part.engine.setup.store,
            None => &self.part.store,
        };
        self.part.call(store.list(filter, page)).await
    }
}

const fn is_new(inserted: &Inserted) -> bool {
    matches!(inserted, Inserted::New { .. } | Inserted::Repeated)
}

/// What goes with progress.
#[derive(Debug, Clone, Copy)]
enum Sent {
    /// So many children of the task.
    Children(usize),
    /// Tasks of their own.
    Tasks,
}

impl Lease {
    /// Writes progress, and with it tasks, under the lease.
    async fn progress(
        self: Arc<Self>,
        progress: Progress,
        insert: Vec<NewTask>,
        sent: Sent,
    ) -> Result<(), NotWritten> {
        if let Some(kept) = &self.copy {
            let stored = progress.stored();
            lock(kept).keep(stored.write()?, insert);
            progress.written(stored);
            return Ok(self.written(&Applied::Repeated, sent)?);
        }
        let writing = Arc::clone(self.writing.get_or_init(Arc::default));
        let writing = writing.lock_owned().await;
        let stored = progress.stored();
        let checkpoint = stored.write()?;
        let mut edit = self
            .part
            .edit(&self.task(), Event::Checkpoint { checkpoint })
            .map_err(|_| LeaseLost)?;
        edit.insert = insert;
        let (reply, answer) = oneshot::channel();
        let part = Arc::clone(&self.part);
        let on_answer = move |answer: Result<&Applied, &StoreError>| {
            let written = match (answer, sent) {
                (Ok(applied), _) => self.written(applied, sent).map_err(NotWritten::from),
                // Who brings tasks of others may leave the one out that is not taken.
                (Err(error), Sent::Tasks) => Err(NotWritten::Refused(error.clone())),
                (Err(_), Sent::Children(_)) => self.written(&Applied::Stale, sent).map_err(NotWritten::from),
            };
            if written.is_ok() {
                progress.written(stored);
            }
            // A caller that went away needs no answer; the version and the progress are noted all the same.
            let _ = reply.send(written);
            drop(writing);
        };
        part.send(edit, Role::Progress(Box::new(on_answer)));
        answer.await.unwrap_or(Err(NotWritten::LeaseLost))
    }
}

impl Written {
    fn keep(&mut self, checkpoint: Payload, children: Vec<NewTask>) {
        // Of a split into many chunks the last one tells where it stands.
        if !children.is_empty() {
            self.checkpoints.clear();
        }
        self.checkpoints.push(checkpoint);
        let more = u32::try_from(children.len()).unwrap_or(u32::MAX);
        self.count = self.count.saturating_add(more);
        let room = MAX_BATCH.saturating_sub(self.children.len());
        self.children.extend(children.into_iter().take(room));
    }
}

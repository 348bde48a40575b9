//! Administration: look at tasks, change them, pause queues.

use std::sync::Arc;

use super::{Client, Error, Result, Shared, not_tried, resend};
use crate::clock::Clock as _;
use crate::draft::{InvalidTask, VERSION_HEADER};
use crate::headers::Headers;
use crate::id::{Shard, TaskId};
use crate::limits::MAX_BATCH;
use crate::machine::{AdminEdit, Event, Rejected, transition};
use crate::name::Queue;
use crate::payload::Payload;
use crate::store::{
    Applied, CountScope, Counts, Listed, Page, QueueInfo, QueueSetting, Session, TaskFilter, TaskStore,
    TaskStoreExt as _, Written,
};
use crate::task::{Action, Edit, State, TaskDetail};
use crate::time::Timestamp;

/// How often an edit that met a changed task is decided anew before the caller is told.
const TRIES: usize = 8;

/// What a cancel did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancelled {
    /// The task is cancelled.
    Now,
    /// The task runs, or waits for children: its worker is told at its next heartbeat, and it ends as cancelled unless
    /// the attempt succeeds or fails for good before.
    Requested,
}

/// What [`Client::edit`] changes in a pending task.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// A new payload.
    pub payload: Option<Payload>,
    /// New headers, in place of all old ones.
    pub headers: Option<Headers>,
}

impl<S: TaskStore + ?Sized> Client<S> {
    /// One task with everything that is kept about it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        Ok(self.store.get(id).await?)
    }

    /// One page of tasks, newest first. Follow [`Listed::next`]; a short page may have one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        Ok(self.store.list(filter, page).await?)
    }

    /// Counts by queue and state.
    ///
    /// # Errors
    /// The store failed.
    pub async fn count(&self, scope: &CountScope) -> Result<Counts> {
        Ok(self.store.count(scope).await?)
    }

    /// The queues with their lanes, and which are paused.
    ///
    /// # Errors
    /// The store failed.
    pub async fn queues(&self) -> Result<Vec<QueueInfo>> {
        Ok(self.store.queues().await?)
    }

    /// The sessions of running and lost workers.
    ///
    /// # Errors
    /// The store failed.
    pub async fn sessions(&self) -> Result<Vec<Session>> {
        Ok(self.store.sessions().await?)
    }

    /// Cancels a task that has not ended.
    ///
    /// # Errors
    /// It does not exist, has ended, or the store failed.
    pub async fn cancel(&self, id: TaskId) -> Result<Cancelled> {
        match self.decide(id, || Event::Cancel).await {
            Ok(detail) if detail.task.state == State::Cancelled => Ok(Cancelled::Now),
            Ok(_) | Err(Error::Rejected(Rejected::AlreadyRequested)) => Ok(Cancelled::Requested),
            Err(error) => Err(error),
        }
    }

    /// Runs an ended task again from the step in which it ended, its attempts counted anew.
    ///
    /// # Errors
    /// It does not exist, has not ended, its unique key is taken, it is a child whose parent does not wait for it, or
    /// the store failed.
    pub async fn rerun(&self, id: TaskId) -> Result<TaskDetail> {
        self.decide(id, || Event::Rerun {
            at: Timestamp::MIN,
            from_start: false,
        })
        .await
    }

    /// Runs an ended task again from its first step, without its checkpoint.
    ///
    /// # Errors
    /// As [`rerun`](Self::rerun).
    pub async fn rerun_from_start(&self, id: TaskId) -> Result<TaskDetail> {
        self.decide(id, || Event::Rerun {
            at: Timestamp::MIN,
            from_start: true,
        })
        .await
    }

    /// Moves a pending task to another time; the past means now.
    ///
    /// # Errors
    /// It does not exist, is not pending, or the store failed.
    pub async fn reschedule(&self, id: TaskId, at: Timestamp) -> Result<TaskDetail> {
        self.decide(id, || Event::Reschedule { at }).await
    }

    /// Makes a pending task due at once.
    ///
    /// # Errors
    /// As [`reschedule`](Self::reschedule).
    pub async fn run_now(&self, id: TaskId) -> Result<TaskDetail> {
        self.reschedule(id, Timestamp::MIN).await
    }

    /// Changes what a pending task carries. A new payload is of the version that the task's headers name; new headers
    /// that name none keep it.
    ///
    /// # Errors
    /// The headers have no room for the version, it does not exist, is not pending, or the store failed.
    pub async fn edit(&self, id: TaskId, changes: Changes) -> Result<TaskDetail> {
        // New headers take the place of the old ones, but the version says how to read the payload.
        let mut headers = changes.headers;
        if let Some(headers) = headers
            .as_mut()
            .filter(|headers| headers.get(VERSION_HEADER).is_none())
            && let Some(detail) = self.store.get(id).await?
            && let Some(version) = detail.headers.get(VERSION_HEADER)
        {
            let version = version.to_owned();
            headers
                .insert(VERSION_HEADER, version)
                .map_err(InvalidTask::from)?;
        }
        let edit = AdminEdit {
            payload: changes.payload,
            headers,
        };
        self.decide(id, || Event::Edit(edit.clone())).await
    }

    /// Lets a parent go on that is held because children failed.
    ///
    /// # Errors
    /// It does not exist, does not wait for children, some are open, or the store failed.
    pub async fn release(&self, id: TaskId) -> Result<TaskDetail> {
        self.decide(id, || Event::Release).await
    }

    /// Forgets an ended task.
    ///
    /// # Errors
    /// It does not exist, has not ended, its parent has not ended, or the store failed.
    pub async fn delete(&self, id: TaskId) -> Result<()> {
        self.decide(id, || Event::Delete).await.map(drop)
    }

    /// Pauses a queue: workers claim nothing more from it; what runs goes on.
    ///
    /// # Errors
    /// The store failed.
    pub async fn pause(&self, queue: &Queue) -> Result<()> {
        self.set_queue(queue, QueueSetting::Pause).await
    }

    /// Resumes a queue.
    ///
    /// # Errors
    /// The store failed.
    pub async fn resume(&self, queue: &Queue) -> Result<()> {
        self.set_queue(queue, QueueSetting::Resume).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        let clock = self.shared.clock(Shard::default());
        Ok(resend(clock, || self.store.set_queue(queue, setting)).await?)
    }

    /// Forgets up to `limit` ended tasks whose retention is over, in calls of up to 1,000; answers how many. Workers do
    /// it by themselves.
    ///
    /// # Errors
    /// The store failed; what was forgotten before is gone.
    pub async fn purge(&self, limit: usize) -> Result<u64> {
        let now = self.shared.any_now().await?;
        let mut purged = 0;
        while purged < limit as u64 {
            let most = MAX_BATCH.min(limit - usize::try_from(purged).unwrap_or(limit));
            let some = self.store.purge(now, most).await?;
            purged += some;
            if some < most as u64 {
                break;
            }
        }
        Ok(purged)
    }

    pub(super) async fn decide(&self, id: TaskId, event: impl Fn() -> Event) -> Result<TaskDetail> {
        self.decide_on(id, |_| event()).await
    }

    /// As [`decide`](Self::decide), of an event that depends on the record.
    pub(super) async fn decide_on(
        &self,
        id: TaskId,
        event: impl Fn(&TaskDetail) -> Event,
    ) -> Result<TaskDetail> {
        Arc::clone(&self.shared).decide(id, event).await
    }
}

impl Shared {
    /// Decides an event on the current record and writes it; a task that changes meanwhile is decided anew. Answers
    /// the record after the edit.
    pub(super) async fn decide(
        &self,
        id: TaskId,
        event: impl Fn(&TaskDetail) -> Event,
    ) -> Result<TaskDetail> {
        let now = self.now(id.shard()).await?;
        let mut last = None;
        for _ in 0..TRIES {
            let detail = self.store.get(id).await?.ok_or(Error::NotFound(id))?;
            let action = transition(&detail.task, event(&detail), now, self.random.next_u64())?;
            let deletes = matches!(action, Action::Delete { .. });
            let decided_on = (detail.task.version, detail.task.state);
            let (applied, sent) = self.write(&detail, &action).await?;
            match applied {
                Applied::Done { .. } | Applied::Repeated => {
                    return Ok(self.store.get(id).await?.unwrap_or(detail));
                }
                // The first sending deleted it, and its answer was lost.
                Applied::Missing if deletes && sent > 1 => return Ok(detail),
                Applied::Missing => return Err(Error::NotFound(id)),
                Applied::KeyTaken(holder) => return Err(Error::KeyTaken(holder)),
                Applied::NotTried => return Err(not_tried().into()),
                // The first sending may have been written, so it is not decided a second time.
                Applied::Stale if sent > 1 => break,
                // The same record twice: not a race but the store's own refusal.
                Applied::Stale if last == Some(decided_on) => break,
                Applied::Stale => last = Some(decided_on),
            }
        }
        let detail = self.store.get(id).await?.ok_or(Error::NotFound(id))?;
        Err(Error::Changed(Box::new(detail)))
    }

    /// Writes an edit and counts what it ends; answers how it ended and how often it was sent.
    pub(super) async fn write(&self, detail: &TaskDetail, action: &Action) -> Result<(Applied, u32)> {
        let (id, version) = (detail.task.id, detail.task.version);
        let edit = Edit {
            id,
            version,
            nonce: self.nonce(),
            action: action.clone(),
            insert: Vec::new(),
        };
        let mut sent = 0;
        let clock = self.clock(id.shard());
        let applied = resend(clock, || {
            sent += 1;
            self.store.apply(edit.clone(), clock.now())
        });
        let applied = applied.await?;
        if let Some(written) = Written::of(action, &applied) {
            self.meters.settled(&detail.task, written);
        }
        Ok((applied, sent))
    }
}

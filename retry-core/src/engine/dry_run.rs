//! Runs a stored task's handler on a copy in memory and tells what would become of the task.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::lease::{Lease, Written};
use super::part::{Engine, Part};
use super::round::Round;
use super::runnable::Runnable;
use super::runner::{self, Settled};
use super::worker::Worker;
use crate::client::{Error, Result};
use crate::clock::Clock as _;
use crate::id::SessionId;
use crate::machine::{Event, claim, transition};
use crate::payload::Payload;
use crate::store::{Applied, MemoryStore, StoreError, StoreErrorKind, TaskStore as _};
use crate::task::{Action, ClaimedTask, Edit, NewTask, State, Task, TaskDetail};
use crate::time::Timestamp;

/// What would become of a task, as [`Client::dry_run`](crate::client::Client::dry_run) found out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DryRun {
    /// The record as the attempt would leave it: its state, when it is due again, its output, its last error, the
    /// history of failures. Its version is not what the store would show.
    pub after: TaskDetail,
    /// Whether the store would keep the record; a success with a retention of zero is forgotten at once.
    pub kept: bool,
    /// The checkpoints that the handler stored, in order.
    pub checkpoints: Vec<Payload>,
    /// The tasks that would be inserted: children of a split, follow-ups of a success; of a split into many chunks, the first
    /// 1,000 and those of the last write. Whether their unique keys are taken is not looked up.
    pub would_enqueue: Vec<NewTask>,
    /// How many children the attempt would insert in all.
    pub children: u32,
}

impl DryRun {
    /// The state the task would be in.
    #[must_use]
    pub const fn state(&self) -> State {
        self.after.task.state
    }

    /// When it would run again, if it would.
    #[must_use]
    pub fn runs_again_at(&self) -> Option<Timestamp> {
        (self.state() == State::Pending).then_some(self.after.task.run_at)
    }
}

impl Worker {
    /// One attempt on a copy of `detail`.
    pub(crate) async fn rehearse(&self, detail: TaskDetail) -> Result<DryRun> {
        let setup = self.setup();
        let Some(entry) = setup.kinds.get(&detail.task.kind).cloned() else {
            return Err(Error::NoHandler(detail.task.kind));
        };
        let memory = MemoryStore::with_clock(Arc::clone(&setup.clock));
        let engine = Engine::new(Arc::clone(setup), Round::default());
        let part = Part::new(Arc::clone(&engine), Arc::new(memory.clone()));
        let now = part.clock.now();
        let mut copy = due(detail, now)?;
        let session = SessionId::from_random(engine.random(), engine.random());
        let claimed = Arc::new(claim(&copy.task, session, now));
        let runnable = Runnable::new(as_claimed(&copy, &claimed), setup);
        let lease = Lease::on_copy(Arc::clone(&part), Arc::clone(&claimed));
        let handled = runner::handle(&part, &entry, runnable, Arc::clone(&lease));
        let Ok(Some(Settled { task, edit, .. })) = AssertUnwindSafe(handled).catch_unwind().await else {
            return Err(unfit().into());
        };
        let Written {
            checkpoints,
            mut children,
            count,
        } = lease.take_written();
        let last = edit.insert.iter().filter(|new| new.parent.is_some()).count();
        let count = count.saturating_add(u32::try_from(last).unwrap_or(u32::MAX));
        copy.task = Task::clone(&task);
        copy.checkpoint = checkpoints.last().cloned().or(copy.checkpoint);
        let mut told = settle(&memory, copy, edit, checkpoints, part.clock.now()).await?;
        children.append(&mut told.would_enqueue);
        (told.would_enqueue, told.children) = (children, count);
        Ok(told)
    }
}

/// The copy as it is when its next attempt is claimed.
fn due(mut copy: TaskDetail, now: Timestamp) -> Result<TaskDetail> {
    match copy.task.state {
        State::Succeeded | State::Failed | State::Cancelled => {
            let rerun = Event::Rerun {
                at: now,
                from_start: false,
            };
            if let Action::Set(change) = transition(&copy.task, rerun, now, 0)? {
                change.to.write_to(&mut copy, now);
            }
        }
        State::Waiting => (copy.task.step, copy.task.attempt) = (copy.task.step.saturating_add(1), 0),
        State::Pending | State::Running | State::Joining => {}
    }
    let task = &mut copy.task;
    (task.state, task.session, task.alarm_at) = (State::Pending, None, None);
    (task.cancel_requested, task.run_at) = (false, task.run_at.min(now));
    copy.early_completion = None;
    Ok(copy)
}

fn as_claimed(copy: &TaskDetail, task: &Task) -> ClaimedTask {
    ClaimedTask {
        task: task.clone(),
        payload: copy.payload.clone(),
        headers: copy.headers.clone(),
        checkpoint: copy.checkpoint.clone(),
        completion: copy.completion.clone(),
    }
}

/// Lets the store in memory apply the edit to the copy.
async fn settle(
    memory: &MemoryStore,
    copy: TaskDetail,
    edit: Edit,
    checkpoints: Vec<Payload>,
    now: Timestamp,
) -> Result<DryRun> {
    let id = copy.task.id;
    memory.put_copy(copy.clone());
    let would_enqueue = edit.insert.clone();
    let answer = memory.exchange(&[edit], &[], now).await?;
    if !matches!(answer.applied[..], [Applied::Done { .. }]) {
        return Err(unfit().into());
    }
    let stored = memory.get(id).await?;
    let kept = stored.is_some();
    let after = stored.unwrap_or_else(|| {
        let mut forgotten = copy;
        let task = &mut forgotten.task;
        (task.state, task.session, task.updated_at) = (State::Succeeded, None, now);
        forgotten
    });
    Ok(DryRun {
        after,
        kept,
        checkpoints,
        would_enqueue,
        children: 0,
    })
}

fn unfit() -> StoreError {
    StoreError::rejected(StoreErrorKind::Other, "its outcome does not fit the task")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::harness::{World, job};
    use crate::id::Nonce;

    #[tokio::test]
    async fn an_outcome_that_the_store_refuses_is_an_error() {
        let world = World::new();
        let id = world.enqueue(job("a")).await;
        let copy = world.detail(id).await;
        let edit = |version| Edit {
            id,
            version,
            nonce: Nonce::from_random(7),
            action: transition(&copy.task, Event::Cancel, world.now(), 0).unwrap(),
            insert: Vec::new(),
        };
        let version = copy.task.version;
        for (version, fits) in [(version, true), (version + 1, false)] {
            let memory = MemoryStore::new();
            let settled = settle(&memory, copy.clone(), edit(version), Vec::new(), world.now()).await;
            assert_eq!(settled.is_ok(), fits, "{settled:?}");
        }
    }
}

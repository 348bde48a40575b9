//! The rescuer: settles lost leases and due alarms, of any worker and any kind, from the record alone.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::alerts::{Judge, Told};
use super::drive::Step;
use super::part::Part;
use crate::clock::{Clock as _, Monotonic};
use crate::executor::Stored;
use crate::id::{Nonce, TaskId};
use crate::limits::{MAX_BATCH, MAX_PAGE};
use crate::machine::{Event, Rejected};
use crate::name::Queue;
use crate::store::{Applied, Cause, ExpiredRequest, Page, Result, StoreErrorKind, TaskFilter, Written};
use crate::task::{Action, Edit, State, Task, TaskDetail};

/// How long the store must have answered before sessions are marked: after an outage every lease looks ended, until
/// their owners have had a beat.
const GRACE: Duration = Duration::from_secs(3);
/// How often the store's clock is read, and with it sessions are marked: a step must be seen before a worker that starts
/// behind it may mark anybody.
const READING: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Rescuer {
    part: Arc<Part>,
    /// Unreadable tasks that were told of: they are met every round until somebody repairs them.
    told: HashSet<TaskId>,
    /// What is to be told when the store has recorded it.
    under_way: BTreeMap<TaskId, Rescue>,
}

/// A rescue on its way to the store.
#[derive(Debug)]
struct Rescue {
    /// Of its edit: a child may also be cancelled for its parent in the same round.
    nonce: Nonce,
    task: Task,
    cause: Cause,
    told: Told,
}

impl Rescuer {
    pub(super) fn new(part: Arc<Part>) -> Self {
        Self {
            part,
            told: HashSet::new(),
            under_way: BTreeMap::new(),
        }
    }

    async fn round(&mut self) -> Result<()> {
        let part = Arc::clone(&self.part);
        self.under_way.clear();
        // Leases are judged by a fresh reading alone: who has seen the store's clock step back renews by the new time, and
        // by an older reading looks ended.
        let lease = part.engine.setup.config.lease;
        let fresh = part.sync_clock_within(READING.min(lease / 3)).await?;
        let mark = fresh && part.health.is_good_for(GRACE, part.clock.monotonic());
        let mut request = ExpiredRequest {
            mark,
            after: None,
            limit: MAX_BATCH,
        };
        loop {
            let expired = part.call(part.store.expired(&request, part.clock.now())).await?;
            for bad in &expired.bad {
                if self.told.len() < MAX_BATCH && self.told.insert(bad.id) {
                    tracing::error!(task = %bad.id, reason = %bad.reason, "a stored task cannot be read");
                    let alerts = &part.engine.alerts;
                    // Its queue is as unreadable as the rest.
                    if let Some(alert) = alerts.of_bad(bad, &Queue::default(), part.clock.now()) {
                        alerts.raise(alert, part.clock.monotonic());
                    }
                }
            }
            let mut edits = Vec::new();
            for (task, cause) in &expired.items {
                edits.extend(self.settle(task, *cause).await?);
            }
            self.write(&edits).await?;
            match expired.next {
                Some(next) => request.after = Some(next),
                None => break,
            }
        }
        part.rescued.store(true, Ordering::Release);
        part.marked.fetch_or(mark, Ordering::AcqRel);
        part.engine.progress.notify_waiters();
        Ok(())
    }

    async fn settle(&mut self, task: &Task, cause: Cause) -> Result<Option<Edit>> {
        let event = match (cause, task.state) {
            (Cause::SessionLost, _) => Event::LeaseLost { process_dead: false },
            (Cause::SessionDead, _) => Event::LeaseLost { process_dead: true },
            (Cause::Alarm, State::Pending) => Event::Expire,
            (Cause::Alarm, State::Running) => Event::DeadlinePassed,
            (Cause::Alarm, State::Waiting) => Event::WaitDeadline,
            // Also when a child was rerun before the parent was ended: its alarm is silenced then.
            (Cause::Alarm, State::Joining) if task.children.open == 0 || !task.cancel_requested => {
                Event::ChildrenEnded
            }
            (Cause::Alarm, State::Succeeded | State::Failed | State::Cancelled)
                if task.children.open == 0 =>
            {
                Event::AlarmDone
            }
            (Cause::Alarm, State::Joining | State::Succeeded | State::Failed | State::Cancelled) => {
                self.cancel_children(task).await?;
                return Ok(None);
            }
        };
        tracing::info!(task = %task.id, kind = %task.kind, ?cause, state = %task.state, "rescued");
        let in_its_life = match event {
            Event::ChildrenEnded => self.without_earlier_lives(task).await?,
            _ => None,
        };
        let edit = self.edit(in_its_life.as_ref().unwrap_or(task), event);
        if let Some(edit) = &edit {
            let (now, alerts) = (self.part.clock.now(), &self.part.engine.alerts);
            let judge = match cause {
                // A worker that was lost took its fallback along; an attempt that overran its deadline may have been in it.
                Cause::SessionLost | Cause::SessionDead => Judge::Rules,
                Cause::Alarm => alerts.without_fallback(&task.kind),
            };
            let told = alerts.of_action(task, &edit.action, judge, now);
            let rescue = Rescue {
                nonce: edit.nonce,
                task: task.clone(),
                cause,
                told,
            };
            self.under_way.insert(task.id, rescue);
        }
        Ok(edit)
    }

    /// A parent that was rerun from its start, without the children that it had before: they do not fail it again.
    async fn without_earlier_lives(&self, parent: &Task) -> Result<Option<Task>> {
        if parent.reruns == 0 || parent.children.failed == 0 {
            return Ok(None);
        }
        let detail = self.part.call(self.part.store.get(parent.id)).await?;
        Ok(detail.and_then(|TaskDetail { task, checkpoint, .. }| {
            let children = Stored::read(checkpoint).split?.own(task.children);
            Some(Task { children, ..task })
        }))
    }

    fn edit(&self, task: &Task, event: Event) -> Option<Edit> {
        match self.part.edit(task, event) {
            Ok(edit) => Some(edit),
            Err(Rejected::AlreadyRequested) => None,
            Err(why) => {
                tracing::debug!(task = %task.id, %why, "nothing to rescue");
                None
            }
        }
    }

    /// Cancels one page of the open children of a parent that has ended or shall end. Its alarm rings on until none is
    /// left.
    async fn cancel_children(&mut self, parent: &Task) -> Result<()> {
        let states = vec![State::Pending, State::Running, State::Waiting, State::Joining];
        let filter = TaskFilter {
            parent: Some(parent.id),
            states,
            ..TaskFilter::default()
        };
        let mut page = Page::first(MAX_PAGE);
        loop {
            let listed = self.part.call(self.part.store.list(&filter, &page)).await?;
            let edits: Vec<Edit> = listed
                .tasks
                .iter()
                // Those that run and are flagged already would hide the page behind them.
                .filter(|child| !child.task.cancel_requested)
                .filter_map(|child| self.edit(&child.task, Event::Cancel))
                .collect();
            if !edits.is_empty() && !self.is_unchanged(parent).await? {
                return Ok(());
            }
            self.write(&edits).await?;
            match listed.next {
                Some(next) if edits.is_empty() => page.after = Some(next),
                _ => return Ok(()),
            }
        }
    }

    /// Whether a parent is as it was reported: one that was reopened since wants its children. Asked behind the listing, so
    /// that a child which was rerun later is at another version than the listed one.
    async fn is_unchanged(&self, parent: &Task) -> Result<bool> {
        let now = self.part.call(self.part.store.get(parent.id)).await?;
        Ok(now.is_some_and(|now| now.task.version == parent.version))
    }

    /// Writes a page of edits; when the store refuses it for good, one by one, so that no task stops the others.
    async fn write(&mut self, edits: &[Edit]) -> Result<()> {
        match self.exchange(edits).await {
            Err(error) if error.kind() == StoreErrorKind::Invalid && edits.len() > 1 => {
                for edit in edits {
                    match self.exchange(std::slice::from_ref(edit)).await {
                        Err(error) if error.kind() == StoreErrorKind::Invalid => {
                            tracing::error!(task = %edit.id, %error, "a task cannot be rescued");
                        }
                        answer => answer?,
                    }
                }
                Ok(())
            }
            answer => answer,
        }
    }

    async fn exchange(&mut self, edits: &[Edit]) -> Result<()> {
        if edits.is_empty() {
            return Ok(());
        }
        let part = Arc::clone(&self.part);
        let answer = part
            .call(part.store.exchange(edits, &[], part.clock.now()))
            .await?;
        // Stale answers are others' work: another rescuer, or the worker itself, came first.
        let written = edits
            .iter()
            .zip(answer.applied)
            .filter(|(_, applied)| matches!(applied, Applied::Done { .. }));
        for (edit, applied) in written {
            self.recorded(edit, &applied);
            // What was taken from this worker itself still runs here.
            if let Action::Set(change) = &edit.action
                && change.from == State::Running
            {
                part.held.taken(edit.id, edit.version);
            }
        }
        part.look_again();
        Ok(())
    }
}

impl Rescuer {
    fn recorded(&mut self, edit: &Edit, applied: &Applied) {
        let is_rescue = |rescue: &Rescue| rescue.nonce == edit.nonce;
        if !self.under_way.get(&edit.id).is_some_and(is_rescue) {
            return;
        }
        let rescue = self.under_way.remove(&edit.id);
        let (Some(rescue), Some(written)) = (rescue, Written::of(&edit.action, applied)) else {
            return;
        };
        let meters = &self.part.engine.setup.meters;
        if rescue.cause != Cause::Alarm {
            meters.crashed(&rescue.task);
        }
        meters.settled(&rescue.task, written);
        self.part.tell(rescue.told, written);
    }
}

impl Step for Rescuer {
    fn part(&self) -> &Arc<Part> {
        &self.part
    }

    fn name(&self) -> &'static str {
        "rescuer"
    }

    async fn step(&mut self) -> Monotonic {
        match self.round().await {
            Ok(()) => self.part.answered(),
            Err(error) => {
                self.part.health.failed();
                tracing::warn!(%error, "the rescuer's round failed");
            }
        }
        let interval = self.part.engine.setup.config.rescue_interval;
        self.part.clock.monotonic() + self.part.engine.jittered(interval)
    }

    async fn woken(&mut self) {
        std::future::pending().await
    }
}

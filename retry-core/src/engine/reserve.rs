//! A place kept on this worker for a task before it is stored: a permit, and a hold that the heartbeat leaves alone until
//! the task is known to be born.

use std::sync::{Arc, Weak};

use super::held::Hold;
use super::kind::KindEntry;
use super::part::Part;
use super::permits::Permit;
use super::runnable::Runnable;
use super::runner;
use crate::clock::{Clock as _, SyncedClock};
use crate::id::{SessionId, Shard, TaskId};
use crate::machine;
use crate::seams::Spawn;
use crate::store::{Applied, Result, Written};
use crate::task::{Action, ClaimedTask, NewTask, State, Task, TaskDetail};
use crate::time::Timestamp;

/// The way from a client to the running worker it is attached to. Weak: neither keeps the other alive.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    parts: Arc<[Weak<Part>]>,
    /// The parts' own: what was read of the store's clocks outlives the worker.
    clocks: Arc<[Arc<SyncedClock>]>,
}

impl Attachment {
    pub(super) fn new(parts: &[Arc<Part>]) -> Self {
        Self {
            parts: parts.iter().map(Arc::downgrade).collect(),
            clocks: parts.iter().map(|part| Arc::clone(&part.clock)).collect(),
        }
    }

    /// The time of a part of the store by the worker's last reading of it.
    pub(crate) fn now(&self, part: usize) -> Option<Timestamp> {
        let clock = self.clocks.get(part)?;
        clock.is_synced().then(|| clock.now())
    }

    /// Tells the worker's sinks of a failure that the client has recorded. Without effect when the worker has stopped.
    pub(crate) fn tell(&self, task: &Task, action: &Action, applied: &Applied) {
        let part = self.parts.iter().find_map(Weak::upgrade);
        let (Some(part), Some(written)) = (part, Written::of(action, applied)) else {
            return;
        };
        let alerts = &part.engine.alerts;
        let judge = alerts.without_fallback(&task.kind);
        part.tell(alerts.of_action(task, action, judge, part.clock.now()), written);
    }

    /// Keeps a place for a task that is due, if the worker runs its kind and claims from its queue, has a permit to
    /// spare and a lease, and is not stopping. `home` says which part of a sharded store keeps the tasks of a slot.
    pub(crate) fn reserve(
        &self,
        task: &NewTask,
        home: impl FnOnce(Shard) -> Option<usize>,
        now: Timestamp,
    ) -> Option<Reservation> {
        if task.run_at > now {
            return None;
        }
        let index = match self.parts.len() {
            1 => 0,
            _ => home(task.id.shard())?,
        };
        Reservation::new(self.parts.get(index)?.upgrade()?, task)
    }
}

/// A place for one task. Dropped, it is free again: the task is not stored, or another one has it.
#[derive(Debug)]
pub(crate) struct Reservation {
    part: Arc<Part>,
    hold: Hold,
    session: SessionId,
    entry: Arc<KindEntry>,
    /// Taken out when the run begins.
    permit: Option<Permit>,
}

impl Reservation {
    fn new(part: Arc<Part>, task: &NewTask) -> Option<Self> {
        let setup = &part.engine.setup;
        let entry = Arc::clone(setup.kinds.get(&task.kind)?);
        if part.engine.is_stopping() || !setup.queues.contains(&task.queue) {
            return None;
        }
        let session = part.current_session()?;
        let permit = part.engine.permits.reserve(&task.queue, &task.kind)?;
        let hold = Hold::at_birth(task.id);
        // Before the insert: the store may count it before the caller hears of it.
        part.held.expect(hold);
        let permit = Some(permit);
        Some(Self {
            part,
            hold,
            session,
            entry,
            permit,
        })
    }

    pub(super) const fn part(&self) -> &Arc<Part> {
        &self.part
    }

    pub(super) const fn entry(&self) -> &Arc<KindEntry> {
        &self.entry
    }

    /// The session under which the task is to be born.
    pub(crate) const fn session(&self) -> SessionId {
        self.session
    }

    /// The session of this very moment, for a task that is stored after it was tried. None: nothing can be born now.
    pub(crate) fn renew_session(&mut self) -> Option<SessionId> {
        self.session = self.part.current_session()?;
        Some(self.session)
    }

    /// The store's time by the worker's last reading of it: there is one, or there would be no session.
    pub(crate) fn now(&self) -> Timestamp {
        self.part.clock.now()
    }

    /// What the store holds of the task if it was born under this reservation and nobody has touched it since. One read;
    /// it decides where the caller cannot know: a savepoint may have taken the row along, or the commit may have failed.
    pub(crate) async fn look(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        let stored = self.part.call(self.part.store.get(id)).await?;
        let born = |task: &Task| {
            task.state == State::Running && task.session == Some(self.session) && Hold::of(task) == self.hold
        };
        Ok(stored.filter(|stored| born(&stored.task)))
    }

    /// The task is born and runs from now on. None: the session in which it was born is over, and a rescuer has it; or
    /// it was stored as pending, and this worker has claimed it since.
    pub(super) fn begin(mut self, born: ClaimedTask) -> Option<(Arc<Part>, Runnable, Permit)> {
        let lives = self.part.session().id() == Some(self.session);
        if !lives || !self.part.held.born(self.hold, born.task.alarm_at) {
            return None;
        }
        let mut permit = self.permit.take()?;
        permit.begin();
        let runnable = Runnable::new(born, &self.part.engine.setup);
        Some((Arc::clone(&self.part), runnable, permit))
    }

    /// Runs the task in the background if it is stored as running here.
    pub(crate) fn start_if_born(self, id: TaskId) {
        let spawner = self.spawner();
        spawner.spawn(Box::pin(async move {
            match self.look(id).await {
                Ok(Some(stored)) => {
                    if let Some(startable) = self.begin(as_claimed(stored)) {
                        runner::run_on(startable).await;
                    }
                }
                Ok(None) => tracing::debug!(task = %id, "not run: it is not stored, or no longer ours"),
                Err(error) => {
                    tracing::warn!(task = %id, %error, "not run here: whether it was committed is not known");
                }
            }
        }));
    }

    /// Runs the born task in the background.
    pub(crate) fn start(self, born: ClaimedTask) {
        if let Some(startable) = self.begin(born) {
            runner::start(startable);
        }
    }

    /// The right to run is used now, though the task is not stored yet.
    pub(super) fn run_unborn(&mut self) {
        if let Some(permit) = &mut self.permit {
            permit.begin();
        }
    }

    /// What runs the worker's background futures.
    pub(crate) fn spawner(&self) -> Arc<dyn Spawn> {
        Arc::clone(&self.part.engine.spawn)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            // If the row was stored after all, the heartbeat finds it and hands it back.
            self.part.held.expect_no_more(self.hold);
            drop(permit);
            self.part.engine.permit_freed();
        }
    }
}

/// The record of a task that was born under a session at `now`, as the store wrote it.
pub(crate) fn born(new: &NewTask, session: SessionId, now: Timestamp) -> ClaimedTask {
    ClaimedTask {
        task: machine::claim(&Task::pending(new, now), session, now),
        payload: new.payload.clone(),
        headers: new.headers.clone(),
        checkpoint: None,
        completion: None,
    }
}

/// The same from what the store gave back.
pub(crate) fn as_claimed(stored: TaskDetail) -> ClaimedTask {
    ClaimedTask {
        task: stored.task,
        payload: stored.payload,
        headers: stored.headers,
        checkpoint: stored.checkpoint,
        completion: stored.completion,
    }
}

//! What the loops and the attempts of a worker share, for one part of the store.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::held::Held;
use super::outbox::Outbox;
use super::permits::{Permit, Permits};
use super::session::SessionState;
use super::worker::Setup;
use crate::clock::{Clock, Monotonic, SyncedClock};
use crate::id::{Nonce, Shard, TaskId, TaskIds};
use crate::machine::{Event, Rejected, transition};
use crate::store::{Result, TaskStore};
use crate::task::{ClaimedTask, Edit, Task};
use crate::time::Timestamp;

/// What all parts of a run share.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) setup: Arc<Setup>,
    pub(super) permits: Arc<Permits>,
    ids: Mutex<TaskIds>,
    stopping: AtomicBool,
    /// Told when an attempt ended, a write was answered, a loop found nothing to do.
    pub(super) progress: Notify,
}

impl Engine {
    pub(super) fn new(setup: Arc<Setup>) -> Arc<Self> {
        let limit = |(kind, entry): (&_, &Arc<super::kind::KindEntry>)| {
            entry
                .options
                .concurrency
                .map(|limit| (crate::name::Kind::clone(kind), limit))
        };
        let kinds = setup.kinds.iter().filter_map(limit).collect();
        let permits = Permits::new(setup.config.concurrency, setup.config.queue_limits.clone(), kinds);
        let stopping = AtomicBool::new(false);
        Arc::new(Self {
            setup,
            permits,
            ids: Mutex::default(),
            stopping,
            progress: Notify::new(),
        })
    }

    pub(super) fn stop_claiming(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn random(&self) -> u64 {
        self.setup.random.next_u64()
    }

    pub(super) fn next_id(&self, now: Timestamp) -> TaskId {
        self.ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next(now, Shard::default(), self.random())
    }

    /// `span`, shortened by up to a fifth, so that workers do not move in step.
    pub(super) fn jittered(&self, span: Duration) -> Duration {
        let fifth = u64::try_from(span.as_millis() / 5).unwrap_or(u64::MAX);
        span.saturating_sub(Duration::from_millis(
            self.random().checked_rem(fifth + 1).unwrap_or(0),
        ))
    }

    /// Waits until `done`, looking again whenever there is progress.
    pub(super) async fn until(&self, done: impl Fn() -> bool) {
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if done() {
                return;
            }
            progress.await;
        }
    }
}

/// One part of the store, with its session.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) engine: Arc<Engine>,
    pub(super) store: Arc<dyn TaskStore>,
    pub(super) clock: Arc<SyncedClock>,
    pub(super) session: Mutex<SessionState>,
    pub(super) held: Held,
    pub(super) outbox: Outbox,
    buffer: Mutex<VecDeque<ClaimedTask>>,
    health: Mutex<Health>,
    /// Tells the pump that there is something to send or to claim.
    pub(super) pump: Notify,
    /// Tells the heartbeat that the session's state changed.
    pub(super) heart: Notify,
    /// The pump found nothing due and nothing to send.
    idle: AtomicBool,
    /// The rescuer has looked at least once with the right to mark sessions, or found no reason to.
    pub(super) rescued: AtomicBool,
}

/// Since when the store has answered every call.
#[derive(Debug, Default)]
struct Health {
    ok_since: Option<Monotonic>,
    suspended_until: Monotonic,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Part {
    pub(super) fn new(engine: Arc<Engine>, store: Arc<dyn TaskStore>) -> Arc<Self> {
        let clock = Arc::new(SyncedClock::new(Arc::clone(&engine.setup.clock)));
        Arc::new(Self {
            engine,
            store,
            clock,
            session: Mutex::default(),
            held: Held::default(),
            outbox: Outbox::default(),
            buffer: Mutex::default(),
            health: Mutex::default(),
            pump: Notify::new(),
            heart: Notify::new(),
            idle: AtomicBool::new(false),
            rescued: AtomicBool::new(false),
        })
    }

    pub(super) fn nonce(&self) -> Nonce {
        Nonce::from_random(self.engine.random())
    }

    /// The edit by which `event` changes `task`, if it applies.
    pub(super) fn edit(&self, task: &Task, event: Event) -> std::result::Result<Edit, Rejected> {
        let action = transition(task, event, self.clock.now(), self.engine.random())?;
        Ok(Edit {
            id: task.id,
            version: task.version,
            nonce: self.nonce(),
            action,
            insert: Vec::new(),
        })
    }

    /// Gives a task back that this worker will not run: due at once, the attempt not counted.
    pub(super) fn hand_back(&self, task: &Task) {
        match self.edit(task, Event::Snooze { at: Timestamp::MIN }) {
            Ok(edit) => self.send(edit),
            Err(why) => tracing::warn!(task = %task.id, %why, "a task could not be handed back"),
        }
    }

    /// Puts an edit on its way; it is sent with the next exchange.
    pub(super) fn send(&self, edit: Edit) {
        self.outbox.push(edit);
        self.pump.notify_one();
    }

    // What was claimed and waits for a permit.

    pub(super) fn buffered(&self) -> usize {
        lock(&self.buffer).len()
    }

    pub(super) fn buffered_where(&self, counted: impl Fn(&ClaimedTask) -> bool) -> usize {
        lock(&self.buffer).iter().filter(|task| counted(task)).count()
    }

    pub(super) fn buffer(&self, tasks: impl IntoIterator<Item = ClaimedTask>) {
        lock(&self.buffer).extend(tasks);
    }

    /// The first buffered task for which there is a permit.
    pub(super) fn next_startable(&self) -> Option<(ClaimedTask, Permit)> {
        if self.engine.is_stopping() || !self.lease_is_current() {
            return None;
        }
        let mut buffer = lock(&self.buffer);
        if self.engine.permits.free() == 0 {
            return None;
        }
        let found = buffer.iter().enumerate().find_map(|(index, claimed)| {
            let permit = self
                .engine
                .permits
                .take(&claimed.task.queue, &claimed.task.kind)?;
            Some((index, permit))
        });
        let (index, permit) = found?;
        buffer.remove(index).map(|task| (task, permit))
    }

    /// Hands back all that waits for a permit.
    pub(super) fn hand_back_buffer(&self) {
        let tasks = std::mem::take(&mut *lock(&self.buffer));
        tasks.iter().for_each(|claimed| self.hand_back(&claimed.task));
    }

    /// Forgets all that waits for a permit: the session is lost, a rescuer has it.
    pub(super) fn drop_buffer(&self) {
        for claimed in std::mem::take(&mut *lock(&self.buffer)) {
            self.held.remove(claimed.task.id);
        }
    }

    // The lease.

    pub(super) fn lease_is_current(&self) -> bool {
        lock(&self.session).is_current(self.clock.monotonic())
    }

    // The store's health.

    pub(super) fn answered(&self) {
        let now = self.clock.monotonic();
        lock(&self.health).ok_since.get_or_insert(now);
    }

    pub(super) fn failed(&self) {
        lock(&self.health).ok_since = None;
    }

    /// Whether the store has answered every call for `span` and the clock did not step.
    pub(super) fn is_healthy_for(&self, span: Duration) -> bool {
        let now = self.clock.monotonic();
        let health = lock(&self.health);
        let steady = health
            .ok_since
            .is_some_and(|since| now.saturating_since(since) >= span);
        steady && now >= health.suspended_until
    }

    /// Reads the store's clock when the last reading is old. A large step suspends rescue for a lease: other workers
    /// have seen it too and renew by the new time.
    pub(super) async fn sync_clock(&self) -> Result<()> {
        if !self.clock.is_due() {
            return Ok(());
        }
        let sent = self.clock.monotonic();
        let time = self.store.time().await?;
        let step = self.clock.record(time, sent, self.clock.monotonic());
        let lease = self.engine.setup.config.lease;
        if step > lease / 3 {
            tracing::warn!(?step, "the store's clock stepped; rescue pauses for one lease");
            lock(&self.health).suspended_until = self.clock.monotonic() + lease;
        }
        Ok(())
    }

    // Idleness, for those who drive the worker by hand.

    pub(super) fn set_idle(&self, idle: bool) {
        if self.idle.swap(idle, Ordering::AcqRel) != idle {
            self.engine.progress.notify_waiters();
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::Acquire) && self.held.is_empty() && self.outbox.is_empty()
    }
}

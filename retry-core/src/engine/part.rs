//! What the loops and the attempts of a worker share, for one part of the store.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use tokio::sync::Notify;

use super::alerts::{Alerts, Judge, Told};
use super::buffer::Buffer;
use super::health::Health;
use super::held::{Held, Hold};
use super::kind::KindEntry;
use super::outgoing::{Outgoing, Role};
use super::permits::Permits;
use super::round::Round;
use super::session::SessionState;
use super::teller::Teller;
use super::worker::Setup;
use crate::clock::{Clock, SyncedClock};
use crate::id::{Nonce, SessionId, Shard, TaskId, TaskIds};
use crate::machine::{Event, Rejected, transition};
use crate::seams::Spawn;
use crate::store::{Result, StoreError, StoreErrorKind, TaskStore, Written};
use crate::task::{Edit, Task};
use crate::time::Timestamp;

/// What all parts of a run share.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) setup: Arc<Setup>,
    /// Runs the loops and the attempts, where the worker was started.
    pub(super) spawn: Arc<dyn Spawn>,
    pub(super) round: Round,
    pub(super) permits: Arc<Permits>,
    pub(super) buffer: Buffer,
    pub(super) alerts: Alerts,
    ids: Mutex<TaskIds>,
    stopping: AtomicBool,
    /// Told when an attempt ended, a write was answered, a loop found nothing to do.
    pub(super) progress: Notify,
    /// Tell the pump of each part that there is something to send or to claim.
    pumps: Mutex<Vec<Arc<Notify>>>,
}

impl Engine {
    pub(super) fn new(setup: Arc<Setup>, round: Round) -> Arc<Self> {
        let limit = |entry: &Arc<KindEntry>| Some((entry.name.clone(), entry.options.concurrency?));
        let kinds = setup.kinds.values().filter_map(limit).collect();
        let aliases = setup.kinds.iter().filter(|(kind, entry)| **kind != entry.name);
        let aliases = aliases
            .map(|(kind, entry)| (kind.clone(), entry.name.clone()))
            .collect();
        let queues = setup.config.queue_limits.clone();
        let permits = Permits::new(setup.config.concurrency, queues, kinds, aliases);
        let stopping = AtomicBool::new(false);
        Arc::new(Self {
            alerts: Alerts::new(Arc::clone(&setup)),
            spawn: setup.spawn.bind().unwrap_or_else(|| Arc::clone(&setup.spawn)),
            setup,
            round,
            permits,
            buffer: Buffer::default(),
            ids: Mutex::default(),
            stopping,
            progress: Notify::new(),
            pumps: Mutex::default(),
        })
    }

    pub(super) fn stop_claiming(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(super) fn random(&self) -> u64 {
        self.setup.random.next_u64()
    }

    /// The id of a task that stays on `shard`, with the one that brings it.
    pub(super) fn next_id(&self, now: Timestamp, shard: Shard) -> TaskId {
        self.ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next(now, shard, self.random())
    }

    /// `span`, shortened by up to a fifth, so that workers do not move in step.
    pub(super) fn jittered(&self, span: Duration) -> Duration {
        let fifth = u64::try_from(span.as_millis() / 5).unwrap_or(u64::MAX);
        span.saturating_sub(Duration::from_millis(
            self.random().checked_rem(fifth + 1).unwrap_or(0),
        ))
    }

    /// How many parts the store has.
    pub(super) fn parts(&self) -> usize {
        lock(&self.pumps).len().max(1)
    }

    /// A permit is free: whichever part can use it shall look, each first in its turn.
    pub(super) fn permit_freed(&self) {
        let mut pumps = lock(&self.pumps);
        pumps.rotate_left(1);
        pumps.iter().for_each(|pump| pump.notify_one());
        drop(pumps);
        self.progress.notify_waiters();
    }

    /// Gives back what was set aside for a claim and not claimed; another part may ask for it.
    pub(super) fn give_back(&self, reserved: usize) {
        if self.round.give_back(reserved) {
            self.permit_freed();
        }
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
    session: Mutex<SessionState>,
    pub(super) held: Held,
    pub(super) outgoing: Outgoing,
    pub(super) health: Health,
    /// Counts the beginnings and the ends of exchanges: odd while one is under way.
    exchanges: AtomicU64,
    /// Tells the pump that there is something to send or to claim.
    pub(super) pump: Arc<Notify>,
    /// Tells the detour that something is blocked.
    pub(super) detour: Notify,
    /// Tells the heartbeat to beat now: the session is lost, or the store's clock stepped.
    pub(super) heart: Notify,
    /// Tells the watchdog that the lease ends at another time.
    pub(super) lease_changed: Notify,
    /// Something may have become due that no hint tells of.
    look_again: AtomicBool,
    /// The pump found nothing due and nothing to send.
    idle: AtomicBool,
    /// The rescuer has done a round.
    pub(super) rescued: AtomicBool,
    /// The last claim of suspects met some on their last life.
    pub(super) careful: AtomicBool,
    /// The rescuer has done a round with the right to mark sessions.
    pub(super) marked: AtomicBool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Part {
    pub(super) fn new(engine: Arc<Engine>, store: Arc<dyn TaskStore>) -> Arc<Self> {
        let clock = Arc::new(SyncedClock::new(Arc::clone(&engine.setup.clock)));
        let config = &engine.setup.config;
        // A rescuer's pause, and as long again as a beat may be late without harm.
        let longest_silence = config.rescue_interval + config.heartbeat();
        let pump = Arc::new(Notify::new());
        lock(&engine.pumps).push(Arc::clone(&pump));
        let store = engine.setup.meters.wrap(store);
        Arc::new(Self {
            store,
            clock,
            session: Mutex::default(),
            held: Held::default(),
            outgoing: Outgoing::default(),
            health: Health::new(longest_silence),
            exchanges: AtomicU64::new(0),
            pump,
            detour: Notify::new(),
            heart: Notify::new(),
            lease_changed: Notify::new(),
            look_again: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            rescued: AtomicBool::new(false),
            careful: AtomicBool::new(false),
            marked: AtomicBool::new(false),
            engine,
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

    /// Puts the edit that settles `task` on its way; it is sent with the next exchange. What it means for alerts is told
    /// when the store has recorded it, and `teller` hears how it ended.
    pub(super) fn settle(
        &self,
        hold: Hold,
        task: Arc<Task>,
        edit: Edit,
        judge: Judge,
        teller: Option<Teller>,
    ) {
        let alerts = &self.engine.alerts;
        let told = match alerts.is_on() {
            true => alerts.of_action(&task, &edit.action, judge, self.clock.now()),
            false => Told::default(),
        };
        let role = Role::Settle {
            hold,
            task,
            told,
            replaced: false,
            teller,
        };
        self.send(edit, role);
    }

    /// Raises the alert of what the store has written, if there is one.
    pub(super) fn tell(&self, told: Told, written: Written<'_>) {
        if let Some(alert) = told.of(written) {
            self.engine.alerts.raise(alert, self.clock.monotonic());
        }
    }

    pub(super) fn send(&self, edit: Edit, role: Role) {
        self.outgoing.push(edit, role);
        self.pump.notify_one();
    }

    /// Gives a task back that was claimed and not run: due at once, the attempt not counted.
    pub(super) fn hand_back(&self, claimed: &Arc<Task>) {
        self.hand_back_telling(claimed, None);
    }

    /// The same for somebody who waits.
    pub(super) fn hand_back_telling(&self, claimed: &Arc<Task>, teller: Option<Teller>) {
        let hold = Hold::of(claimed);
        match self.edit(claimed, Event::HandBack) {
            Ok(edit) => self.settle(hold, Arc::clone(claimed), edit, Judge::Rules, teller),
            Err(why) => {
                tracing::warn!(task = %claimed.id, %why, "a task could not be handed back");
                self.held.remove(hold);
            }
        }
    }

    /// Hands back all of this part that waits for a permit.
    pub(super) fn hand_back_buffer(&self) {
        for claimed in self.engine.buffer.take(self) {
            self.hand_back(&claimed.task);
        }
    }

    // The session.

    pub(super) fn session(&self) -> SessionState {
        *lock(&self.session)
    }

    pub(super) fn set_session(&self, state: SessionState) {
        *lock(&self.session) = state;
        self.lease_changed.notify_one();
    }

    /// The session while its lease holds.
    pub(super) fn current_session(&self) -> Option<SessionId> {
        let session = self.session();
        session
            .id()
            .filter(|_| session.is_current(self.clock.monotonic()))
    }

    pub(super) fn lease_is_current(&self) -> bool {
        self.session().is_current(self.clock.monotonic())
    }

    /// Ends what belongs to a lost session: a rescuer has its tasks.
    pub(super) fn leave_session(&self) {
        self.held.cancel_by_lease();
        for claimed in self.engine.buffer.take(self) {
            self.held.remove(Hold::of(&claimed.task));
        }
        self.held.forget_session();
        self.set_session(SessionState::None);
        self.engine.progress.notify_waiters();
    }

    // The store.

    pub(super) fn answered(&self) {
        self.health.answered(self.clock.monotonic());
    }

    /// Reads the store's clock when the last reading is old.
    pub(super) async fn sync_clock(&self) -> Result<()> {
        self.sync_clock_within(SyncedClock::INTERVAL).await.map(drop)
    }

    /// Reads the store's clock when the last reading is older than `age`; whether it did. After a large step every worker
    /// that sees it renews at once by the new time, and marks no session before the others have had the time to see it as
    /// well and a lease to renew.
    pub(super) async fn sync_clock_within(&self, age: Duration) -> Result<bool> {
        if !self.clock.is_older_than(age) {
            return Ok(false);
        }
        let sent = self.clock.monotonic();
        let time = self.store.time().await?;
        let (lease, received) = (self.engine.setup.config.lease, self.clock.monotonic());
        // The reading is as uncertain as half the delay of its answer, and leases are judged by it.
        if received.saturating_since(sent) > lease / 3 {
            return Err(StoreError::unknown(
                StoreErrorKind::Unavailable,
                "the store took too long to tell the time",
            ));
        }
        let step = self.clock.record(time, sent, received);
        if step > lease / 3 {
            tracing::warn!(?step, "the store's clock stepped; rescue pauses");
            self.health.suspend(received + SyncedClock::INTERVAL + lease);
            self.heart.notify_one();
        }
        Ok(true)
    }

    /// Waits for a call no longer than a lease: one that hangs, on a dead connection say, must not keep a loop for ever
    /// while the heartbeat keeps the session.
    pub(super) async fn call<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.within(self.engine.setup.config.lease, call).await
    }

    /// Waits for a call no longer than `limit`. A driver that panics has failed the call.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let over = self.clock.sleep_until(self.clock.monotonic() + limit);
        let call = AssertUnwindSafe(call).catch_unwind();
        match select(std::pin::pin!(call), over).await {
            Either::Left((answer, _)) => answer.unwrap_or_else(|_| {
                let message = "the store's driver panicked";
                Err(StoreError::unknown(StoreErrorKind::Other, message))
            }),
            Either::Right(((), _)) => Err(StoreError::unknown(
                StoreErrorKind::Unavailable,
                format!("no answer within {limit:?}"),
            )),
        }
    }

    /// Notes that an exchange begins; it ends when the guard is dropped, also by a panic.
    pub(super) fn begin_exchange(self: &Arc<Self>) -> UnderWay {
        self.exchanges.fetch_add(1, Ordering::SeqCst);
        UnderWay(Arc::clone(self))
    }

    /// How suspects are to be claimed now.
    pub(super) fn caution(&self) -> Caution {
        if self.held.any_on_last_life() {
            Caution::Wait
        } else if self.careful.load(Ordering::Acquire) {
            Caution::OneByOne
        } else {
            Caution::None
        }
    }

    /// The number of the exchange under way, or of the pause between two.
    pub(super) fn exchange_number(&self) -> u64 {
        self.exchanges.load(Ordering::SeqCst)
    }

    /// Whether nothing is being sent and nothing waits to be. Once the worker is stopping it stays so until an attempt
    /// ends.
    pub(super) fn is_flushed(&self) -> bool {
        // In this order: what an exchange brings goes to the outgoing before the exchange is over.
        self.exchange_number().is_multiple_of(2) && self.outgoing.is_empty()
    }

    // Idleness, for those who drive the worker by hand.

    pub(super) fn set_idle(&self, idle: bool) {
        if self.idle.swap(idle, Ordering::AcqRel) != idle {
            self.engine.progress.notify_waiters();
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::Acquire) && self.held.is_empty() && self.outgoing.is_empty()
    }

    /// Makes the pump claim again, whatever it knows: something may have become due.
    pub(super) fn look_again(&self) {
        self.look_again.store(true, Ordering::Release);
        self.idle.store(false, Ordering::Release);
        self.pump.notify_one();
    }

    pub(super) fn take_look_again(&self) -> bool {
        self.look_again.swap(false, Ordering::AcqRel)
    }
}

/// How suspects are to be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caution {
    /// As many as can start, and one.
    None,
    /// One at a time: the last claim met tasks on their last life.
    OneByOne,
    /// None: one on its last life is held.
    Wait,
}

/// An exchange under way.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Part>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.exchanges.fetch_add(1, Ordering::SeqCst);
        self.0.engine.progress.notify_waiters();
    }
}

//! A world with an outbox: a program that commits rows, a worker that runs what comes over, and relays that can be killed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock as _, ManualClock};
use crate::draft::Draft;
use crate::engine::WorkerHandle;
use crate::engine::tests::faulty::FaultyStore;
use crate::engine::tests::harness::{WithKind as _, World, job, script};
use crate::executor::Outcome;
use crate::id::TaskId;
use crate::name::OutboxName;
use crate::outbox::{
    MemoryOutbox, MemoryOutboxTransaction, OutboxRelay, OutboxRelayBuilder, OutboxRelayHandle, OutboxRow,
    OutboxTable, Room, RowId, Waiting,
};
use crate::seams::{SeededRandom, Spawn};
use crate::store::{Result, StoreError, StoreErrorKind, TaskStore as _};
use crate::task::{ErrorText, Retention};

/// More polls of its futures than a relay needs to hand five rows over.
pub(super) const STEPS: usize = 90;

/// What goes wrong in one call of the outbox's database.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// Nothing is done, and the caller knows.
    Rejected,
    /// Nothing is done, but the caller cannot know.
    Lost,
    /// It is done, but the caller cannot know.
    Answerless,
    /// It is done; the answer comes when the gate opens.
    HoldAnswer(CancellationToken),
    /// It reaches the database when the gate opens.
    HoldCall(CancellationToken),
}

/// One relay's way to the outbox.
#[derive(Debug, Clone)]
pub(super) struct FaultyOutbox {
    pub(super) inner: MemoryOutbox,
    planned: Arc<Mutex<VecDeque<Option<Fault>>>>,
    calls: Arc<Mutex<usize>>,
    /// How long each call takes.
    pub(super) slow: Duration,
    clock: ManualClock,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultyOutbox {
    /// The call after `good` more ones goes wrong.
    pub(super) fn plan(&self, good: usize, fault: Fault) {
        let mut planned = lock(&self.planned);
        planned.extend(std::iter::repeat_n(None, good));
        planned.push_back(Some(fault));
    }

    pub(super) fn calls(&self) -> usize {
        *lock(&self.calls)
    }

    async fn call<T: Send>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        *lock(&self.calls) += 1;
        let fault = lock(&self.planned).pop_front().flatten();
        let unknown = || StoreError::unknown(StoreErrorKind::Unavailable, "no answer");
        // A call is on its way for a while, there and back: whoever sent it may stop meanwhile.
        tokio::task::yield_now().await;
        if !self.slow.is_zero() {
            self.clock.sleep_until(self.clock.monotonic() + self.slow).await;
        }
        let answer = match fault {
            None => call.await,
            Some(Fault::Rejected) => Err(StoreError::rejected(StoreErrorKind::Unavailable, "away")),
            Some(Fault::Lost) => Err(unknown()),
            Some(Fault::Answerless) => {
                call.await?;
                Err(unknown())
            }
            Some(Fault::HoldAnswer(gate)) => {
                let answer = call.await;
                gate.cancelled().await;
                answer
            }
            Some(Fault::HoldCall(gate)) => {
                gate.cancelled().await;
                call.await
            }
        };
        tokio::task::yield_now().await;
        answer
    }
}

#[async_trait]
impl OutboxTable for FaultyOutbox {
    fn name(&self) -> &OutboxName {
        self.inner.name()
    }

    async fn next(&self, handed: &[RowId], room: Room) -> Result<Vec<OutboxRow>> {
        self.call(self.inner.next(handed, room)).await
    }

    async fn set_aside(&self, row: RowId, reason: &ErrorText) -> Result<()> {
        self.call(self.inner.set_aside(row, reason)).await
    }

    async fn waiting(&self, cap: usize) -> Result<Waiting> {
        self.inner.waiting(cap).await
    }
}

/// Futures that stop, go on and end together, as those of a process do.
#[derive(Debug, Clone, Default)]
pub(super) struct Process(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    handles: Vec<AbortHandle>,
    stopped: bool,
    /// Of those that were woken while they were stopped.
    wakers: Vec<Waker>,
}

impl Process {
    fn stop(&self) {
        lock(&self.0).stopped = true;
    }

    fn go_on(&self) {
        let mut inside = lock(&self.0);
        inside.stopped = false;
        inside.wakers.drain(..).for_each(Waker::wake);
    }
}

impl Spawn for Process {
    fn spawn(&self, mut future: BoxFuture<'static, ()>) {
        let process = Arc::clone(&self.0);
        let living = std::future::poll_fn(move |context| {
            {
                let mut inside = lock(&process);
                if inside.stopped {
                    inside.wakers.push(context.waker().clone());
                    return Poll::Pending;
                }
            }
            future.as_mut().poll(context)
        });
        let handle = tokio::spawn(living).abort_handle();
        lock(&self.0).handles.push(handle);
    }
}

/// A relay that runs.
pub(super) struct Running {
    pub(super) handle: OutboxRelayHandle,
    process: Process,
}

impl Running {
    /// It is not scheduled any more.
    pub(super) fn stop(&self) {
        self.process.stop();
    }

    /// It goes on where it stopped.
    pub(super) fn go_on(&self) {
        self.process.go_on();
    }

    /// Ends it at once.
    pub(super) async fn kill(self) {
        lock(&self.process.0)
            .handles
            .drain(..)
            .for_each(|future| future.abort());
        tokio::task::yield_now().await;
        drop(self.handle);
    }
}

pub(super) struct Office {
    pub(super) world: World,
    pub(super) outbox: MemoryOutbox,
    /// How often each task ran.
    ran: Arc<Mutex<BTreeMap<TaskId, u32>>>,
    /// Ids in the order in which they were sent to the store.
    sent: Arc<Mutex<Vec<TaskId>>>,
    seeds: Mutex<u64>,
}

impl fmt::Debug for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Office")
    }
}

/// A task that is forgotten as soon as it has succeeded: whoever inserts it again runs it again.
pub(super) fn passing() -> Draft {
    let gone = Retention {
        succeeded: Some(Duration::ZERO),
        ..Retention::default()
    };
    job("job").retention(gone)
}

impl Office {
    pub(super) fn new() -> Self {
        Self {
            world: World::new(),
            outbox: MemoryOutbox::new(OutboxName::new("orders").unwrap()),
            ran: Arc::default(),
            sent: Arc::default(),
            seeds: Mutex::new(100),
        }
    }

    pub(super) fn write(&self, tx: &mut MemoryOutboxTransaction, draft: Draft) -> TaskId {
        self.world.client.enqueue(draft).outbox(&self.outbox, tx).unwrap()
    }

    /// Commits a task.
    pub(super) fn commit(&self, draft: Draft) -> TaskId {
        let mut tx = self.outbox.begin();
        let id = self.write(&mut tx, draft);
        tx.commit();
        id
    }

    pub(super) fn commit_all(&self, tasks: usize) -> Vec<TaskId> {
        (0..tasks).map(|_| self.commit(passing())).collect()
    }

    /// A way to the outbox with faults of its own.
    pub(super) fn table(&self) -> FaultyOutbox {
        FaultyOutbox {
            inner: self.outbox.clone(),
            planned: Arc::default(),
            calls: Arc::default(),
            slow: Duration::ZERO,
            clock: self.world.clock.clone(),
        }
    }

    /// A way to the store that notes what is handed over through it.
    pub(super) fn store(&self) -> FaultyStore {
        let (store, sent) = (self.world.store(), Arc::clone(&self.sent));
        store.refuse(move |edit| {
            lock(&sent).extend(edit.insert.iter().map(|task| task.id));
            false
        });
        store
    }

    pub(super) fn builder(&self, store: &FaultyStore, table: &FaultyOutbox) -> OutboxRelayBuilder {
        let mut seed = lock(&self.seeds);
        *seed += 1;
        OutboxRelay::builder(store.clone(), table.clone())
            .clock(Arc::new(self.world.clock.clone()))
            .random(Arc::new(SeededRandom::new(*seed)))
    }

    pub(super) fn start(builder: OutboxRelayBuilder) -> Running {
        let process = Process::default();
        let relay = builder.spawn(Arc::new(process.clone())).build().unwrap();
        Running {
            handle: relay.start(),
            process,
        }
    }

    /// A relay that meets no faults but hand-overs of three rows.
    pub(super) fn relay(&self) -> Running {
        let polls = Duration::from_millis(20)..=Duration::from_secs(2);
        Self::start(self.builder(&self.store(), &self.table()).batch(3).poll(polls))
    }

    /// A relay that looks once a turn, unless it is told of a commit.
    pub(super) fn lazy_relay(&self) -> Running {
        let hour = Duration::from_hours(1);
        Self::start(self.builder(&self.store(), &self.table()).poll(hour..=hour))
    }

    /// A worker that runs what came over.
    pub(super) fn worker(&self) -> WorkerHandle {
        let ran = Arc::clone(&self.ran);
        let executor = script(move |ctx| {
            *lock(&ran).entry(ctx.id()).or_default() += 1;
            async { Ok(Outcome::Done) }
        });
        self.world.worker().kind("job", executor).build().unwrap().start()
    }

    /// Lets everything take so many steps, and time pass now and then.
    pub(super) async fn steps(&self, steps: usize) {
        for step in 0..steps {
            if step % 20 == 19 {
                self.world.clock.advance_to_next();
            }
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn sent(&self) -> Vec<TaskId> {
        lock(&self.sent).clone()
    }

    pub(super) async fn waiting(&self) -> u64 {
        self.outbox.waiting(1_000).await.unwrap().rows.get()
    }

    /// Waits until nothing waits in the outbox and what came over has run.
    pub(super) async fn until_ran(&self, tasks: usize) {
        let done = async || self.waiting().await == 0 && lock(&self.ran).len() >= tasks;
        self.world.until("all is handed over and runs", done).await;
    }

    /// Each of these tasks ran once, and no other did.
    pub(super) async fn assert_once(&self, tasks: &[TaskId], what: &str) {
        self.until_ran(tasks.len()).await;
        // Time for a second coming: leases end, and whoever was lost is replaced.
        self.world.pass(Duration::from_secs(20)).await;
        let expected: BTreeMap<TaskId, u32> = tasks.iter().map(|id| (*id, 1)).collect();
        assert_eq!(*lock(&self.ran), expected, "{what}");
        for id in tasks {
            assert!(
                self.world.memory.get(*id).await.unwrap().is_none(),
                "{what}: forgotten"
            );
        }
    }
}

//! The kit: handlers, a client, and the drive.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::desk::Run;
use super::drained::Drained;
use super::exec::lock;
use super::fault::Fault;
use super::look;
use super::probe::Probe;
use super::store::KitStore;
use super::world::{Limits, Stopped, World};
use crate::client::Client;
use crate::clock::Clock;
use crate::draft::{Draft, TaskPayload};
use crate::engine::{HandledTask, KindOptions, Worker, WorkerBuilder};
use crate::executor::Handler;
use crate::id::TaskId;
use crate::seams::SeededRandom;
use crate::store::MemoryStore;
use crate::time::Timestamp;

/// Moves of the clock in one drive: more than four days of heartbeats.
const MAX_STEPS: u64 = 1_000_000;
/// Simulated time of one drain: longer than the last retry of the default policy, which is after 88 hours at most.
const MAX_TIME: Duration = Duration::from_hours(4 * 24);
/// Real time for which a handler may wait for real I/O: far more than a local socket takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// In a drain somebody always wakes the worker, so it polls seldom and time passes in large steps.
const IDLE_POLL: Duration = Duration::from_mins(10);
/// As often as the worker's heartbeat.
const RESCUE_INTERVAL: Duration = Duration::from_secs(5);
/// Never, within what a kit can live: asserts look at ended tasks.
const PURGE_INTERVAL: Duration = Duration::from_hours(24 * 365 * 100);

/// A world of its own for handlers under test: a worker, a store in memory, a clock, a seed. See the
/// [module](super) for an example.
///
/// Time moves only in [`drain`](Self::drain), [`advance`](Self::advance) and [`shutdown`](Self::shutdown), and handlers
/// run only there. Those need a tokio runtime with its time driver enabled, as `#[tokio::test]` makes it.
pub struct TestKit {
    pub(super) world: World,
    builder: Mutex<Option<WorkerBuilder>>,
    worker: OnceLock<Worker>,
    client: Client<MemoryStore>,
    limits: Limits,
}

impl fmt::Debug for TestKit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestKit")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

impl Default for TestKit {
    fn default() -> Self {
        Self::new()
    }
}

impl TestKit {
    /// A world with seed 0.
    #[must_use]
    pub fn new() -> Self {
        Self::with_seed(0)
    }

    /// A world in which the seed decides every order and every random number.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        let world = World::new(seed);
        let store = KitStore {
            memory: world.memory.clone(),
            desk: Arc::clone(&world.desk),
        };
        let clock: Arc<dyn Clock> = Arc::new(world.clock.clone());
        let worker = Worker::builder(store)
            .clock(Arc::clone(&clock))
            .random(Arc::new(SeededRandom::new(seed ^ 0x5743)))
            .spawn(Arc::new(world.exec.clone()))
            .name("test-kit")
            .idle_poll(IDLE_POLL)
            .rescue_interval(RESCUE_INTERVAL)
            .purge_interval(PURGE_INTERVAL);
        let client = Client::builder(world.memory.clone())
            .clock(clock)
            .random(Arc::new(SeededRandom::new(seed ^ 0x434c)))
            .build();
        Self {
            world,
            builder: Mutex::new(Some(worker)),
            worker: OnceLock::new(),
            client,
            limits: Limits {
                steps: MAX_STEPS,
                time: MAX_TIME,
                patience: PATIENCE,
            },
        }
    }

    /// Runs tasks of the kind of `P` with an async function, as [`WorkerBuilder::handler`] does.
    #[must_use]
    pub fn handler<P, Args, H>(self, handler: H) -> Self
    where
        P: TaskPayload,
        Args: 'static,
        H: Handler<P, Args>,
    {
        self.worker(|worker| worker.handler(handler))
    }

    /// As [`handler`](Self::handler), with options for the kind.
    #[must_use]
    pub fn handler_with<P, Args, H>(
        self,
        handler: H,
        options: impl FnOnce(KindOptions) -> KindOptions,
    ) -> Self
    where
        P: TaskPayload,
        Args: 'static,
        H: Handler<P, Args>,
    {
        self.worker(|worker| worker.handler_with(handler, options))
    }

    /// Runs tasks of type `T` with the handler that comes with it.
    #[must_use]
    pub fn handled<T: HandledTask>(self) -> Self {
        self.worker(WorkerBuilder::task::<T>)
    }

    /// Shares a value with handlers that take [`State`](crate::executor::State)`<S>`.
    #[must_use]
    pub fn state<S: Clone + Send + Sync + 'static>(self, state: S) -> Self {
        self.worker(|worker| worker.state(state))
    }

    /// Anything else about the worker: concurrency, lease, grace, queues. Its clock, randomness and spawning are the kit's.
    ///
    /// # Panics
    /// The kit has run already.
    #[must_use]
    pub fn worker(self, change: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Self {
        let Some(builder) = lock(&self.builder).take() else {
            panic!("the kit has run: handlers, states and options come before");
        };
        *lock(&self.builder) = Some(change(builder));
        self
    }

    /// Handlers find [`Ctx::is_dry_run`](crate::executor::Ctx::is_dry_run) true.
    #[must_use]
    pub fn dry_run(self) -> Self {
        self.worker(WorkerBuilder::dry_run)
    }

    /// Moves of the clock in one drain or advance; 1,000,000 unless told otherwise.
    #[must_use]
    pub fn max_steps(mut self, steps: u64) -> Self {
        self.limits.steps = steps;
        self
    }

    /// Simulated time of one drain; four days unless told otherwise, longer than all retries of the default policy.
    #[must_use]
    pub fn max_time(mut self, time: Duration) -> Self {
        self.limits.time = time;
        self
    }

    /// Real time for which a handler may wait for something that is not the kit's, a socket say, before the clock goes
    /// on all the same; 5 s unless told otherwise. A handler that waits for nothing real (for a cancel, or for ever) costs a
    /// test this much for each wait.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.limits.patience = patience;
        self
    }

    /// A client of the kit's store. Its way to the store does not fail: [`fail_store_for`](Self::fail_store_for) is
    /// about the workers.
    #[must_use]
    pub fn client(&self) -> Client<MemoryStore> {
        self.client.clone()
    }

    /// The kit's store.
    #[must_use]
    pub fn store(&self) -> MemoryStore {
        self.world.memory.clone()
    }

    /// The kit's clock, for handlers that ask for the time or sleep.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.world.clock.clone())
    }

    /// The time in the kit's world.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    /// Enqueues a task; for options use [`client`](Self::client), or a [`Draft`].
    ///
    /// # Panics
    /// The task is invalid.
    #[track_caller]
    pub fn enqueue(&self, task: impl Into<Draft>) -> impl Future<Output = TaskId> {
        let place = std::panic::Location::caller();
        let enqueue = self.client.enqueue(task).into_future();
        async move {
            match enqueue.await {
                Ok(enqueued) => enqueued.id,
                Err(error) => panic!("the task enqueued at {place} is refused: {error}"),
            }
        }
    }

    /// Runs handlers until nothing is left that goes on by itself. The clock jumps to whatever is due next: a retry, a
    /// scheduled task, the end of a lease. It does not wait for completions from outside, unknown kinds and paused
    /// queues: those are told of in the answer.
    ///
    /// It ends for sure: see [`max_steps`](Self::max_steps), [`max_time`](Self::max_time) and [`patience`](Self::patience).
    ///
    /// # Panics
    /// The worker cannot be built: no handler, a missing state, two handlers of one kind.
    pub async fn drain(&self) -> Drained {
        let worker = self.running();
        let began = self.world.clock.monotonic();
        let memory = &self.world.memory;
        let done = || !look::anything_goes_on(memory, worker);
        let stopped = self.world.drive(worker, self.limits, None, done).await;
        Drained {
            stopped,
            open: look::open(memory, worker),
            elapsed: self.world.clock.monotonic().saturating_since(began),
        }
    }

    /// Lets `span` pass, with all that happens in it. Zero runs what is due now and can go on without time.
    ///
    /// # Panics
    /// As [`drain`](Self::drain); and at the limit of steps.
    pub async fn advance(&self, span: Duration) {
        let worker = self.running();
        let until = self.world.clock.monotonic() + span;
        let memory = &self.world.memory;
        let done = || !look::anything_goes_on(memory, worker);
        let stopped = self.world.drive(worker, self.limits, Some(until), done).await;
        assert!(stopped == Stopped::Idle, "the kit stopped: {stopped:?}");
    }

    /// Stops the worker gracefully, as [`WorkerHandle::shutdown`](crate::engine::WorkerHandle::shutdown) does, with the
    /// time that it takes. A later drain starts a new one.
    ///
    /// # Panics
    /// As [`advance`](Self::advance).
    pub async fn shutdown(&self) {
        let ended = Arc::new(Mutex::new(0));
        let (world, worker) = (&self.world, self.built());
        let count = world.begin_shutdown(&ended);
        // One that was made to stand still goes on when nothing else does.
        let alone = || world.anyone_stands_still() && !look::anything_goes_on(&world.memory, worker);
        let done = || *lock(&ended) == count || alone();
        let stopped = world.drive(worker, self.limits, None, done).await;
        assert!(stopped == Stopped::Idle, "the kit stopped: {stopped:?}");
    }

    /// Plans a fault, counted from now over all handlers. Several may be planned; each strikes once.
    ///
    /// # Panics
    /// Its number is zero: the first is 1.
    pub fn fault(&self, fault: Fault) {
        assert!(fault.number() > 0, "{fault}: counting begins at 1");
        self.world.desk.plan(fault);
    }

    /// The planned faults that have not struck yet.
    #[must_use]
    pub fn outstanding(&self) -> Vec<Fault> {
        self.world.desk.outstanding()
    }

    /// Kills the worker's process now, wherever its handlers are. The next drain starts a new one.
    pub fn crash(&self) {
        self.world.kill_all();
    }

    /// The store answers no worker for `span` from now.
    pub fn fail_store_for(&self, span: Duration) {
        let until = self.world.clock.monotonic() + span;
        self.world.desk.set_down_until(until);
    }

    /// All runs of handlers so far, in the order of their starts, those that were cut off included.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        self.world.desk.runs()
    }

    fn running(&self) -> &Worker {
        let worker = self.built();
        self.world.ensure_started(worker);
        worker
    }

    fn built(&self) -> &Worker {
        self.worker.get_or_init(|| {
            let desk = &self.world.desk;
            let built = lock(&self.builder).take().map(|builder| {
                let probed = builder.wrap_executors(|executor| Probe::around(executor, Arc::clone(desk)));
                probed.build()
            });
            match built {
                Some(Ok(worker)) => worker,
                Some(Err(error)) => panic!("the kit's worker cannot be built: {error}"),
                None => unreachable!("the builder is taken once"),
            }
        })
    }
}

//! One bounded round, for programs that are started by a scheduler of their own: a cron, a function, a test.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::handle::WorkerHandle;
use super::round::{Round, Tally};
use super::window::ScanWindow;
use super::worker::Worker;
use crate::client::{Client, Error};
use crate::clock::Monotonic;
use crate::id::TaskId;
use crate::limits::MAX_BATCH;
use crate::name::{Kind, Queue};
use crate::store::{Result, StoreError, StoreErrorKind, TaskStore};
use crate::task::State;
use crate::time::Timestamp;

/// The bounds of one [`tick`](Worker::tick). The default has none: it ends when nothing is due.
///
/// A [`Duration`] converts into options with that time limit.
///
/// ```
/// # use retry_core as task_retry;
/// use std::time::Duration;
/// use task_retry::engine::TickOptions;
///
/// // Started every minute: 55 seconds for claims and handlers, the rest to stop in.
/// let options = TickOptions::new().time_limit(Duration::from_secs(55)).limit(1_000);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct TickOptions {
    time_limit: Option<Duration>,
    limit: Option<usize>,
    ids: Option<Vec<TaskId>>,
    from_states: Vec<State>,
    window: ScanWindow,
}

impl TickOptions {
    /// No bounds.
    pub fn new() -> Self {
        Self::default()
    }

    /// After this time, counted from the call, nothing more starts and the tick shuts down gracefully: handlers that run
    /// may take the worker's shutdown grace and its cancel grace as well, so a strict scheduler's period covers all three.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// At most this many tasks are claimed.
    pub fn limit(mut self, tasks: usize) -> Self {
        self.limit = Some(tasks);
        self
    }

    /// Only these tasks, at most 1,000, without regard to their order. Unless
    /// [`from_states`](Self::from_states) says more, only those that are pending and due run.
    pub fn ids(mut self, ids: impl IntoIterator<Item = TaskId>) -> Self {
        self.ids = Some(ids.into_iter().collect());
        self
    }

    /// With [`ids`](Self::ids): tasks in one of these states are made due first, pending ones by a reschedule to now,
    /// ended ones by a rerun. Each change is guarded: a task that is in another state by then is left alone and reported.
    pub fn from_states(mut self, states: impl IntoIterator<Item = State>) -> Self {
        self.from_states = states.into_iter().collect();
        self
    }

    /// Only tasks due in this window, beside the worker's own.
    pub fn window(mut self, window: ScanWindow) -> Self {
        self.window = window;
        self
    }

    /// Only tasks due at this time or later.
    pub fn not_before(mut self, at: Timestamp) -> Self {
        self.window = self.window.not_before(at);
        self
    }

    /// Only tasks due at this time or earlier.
    pub fn not_after(mut self, at: Timestamp) -> Self {
        self.window = self.window.not_after(at);
        self
    }

    fn check(&self) -> Result<()> {
        let given = self.ids.as_ref().map_or(0, Vec::len);
        if given > MAX_BATCH {
            return Err(StoreError::invalid(format!(
                "a tick of {given} ids, at most {MAX_BATCH} are allowed; split it"
            )));
        }
        if self.ids.is_none() && !self.from_states.is_empty() {
            return Err(StoreError::invalid("`from_states` goes with `ids`"));
        }
        if self.window.is_empty() {
            return Err(StoreError::invalid("the tick's window ends before it begins"));
        }
        Ok(())
    }
}

impl From<Duration> for TickOptions {
    fn from(limit: Duration) -> Self {
        Self::new().time_limit(limit)
    }
}

/// What a tick did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TickSummary {
    /// Attempts claimed. One task may be claimed more than once: it was due again within the tick.
    pub claimed: usize,
    /// Of these: succeeded.
    pub succeeded: usize,
    /// Failed for good.
    pub failed: usize,
    /// Cancelled, expired ones included.
    pub cancelled: usize,
    /// Failed and will be retried.
    pub retried: usize,
    /// Snoozed, unfinished, or handed back because the time was over.
    pub put_off: usize,
    /// Wait for a completion or for children.
    pub waiting: usize,
    /// Given ids that were not run, and why.
    pub skipped: Vec<(TaskId, Skipped)>,
    /// Why the tick ended.
    pub ended: TickEnd,
}

impl TickSummary {
    /// Claimed attempts whose end is not known to be recorded: the store failed, or somebody took the task. Leases and the
    /// rescuer see to them.
    #[must_use]
    pub const fn unrecorded(&self) -> usize {
        let recorded =
            self.succeeded + self.failed + self.cancelled + self.retried + self.put_off + self.waiting;
        self.claimed.saturating_sub(recorded)
    }

    /// Whether due tasks may be left.
    #[must_use]
    pub fn may_be_more(&self) -> bool {
        self.ended != TickEnd::NothingDue
    }
}

/// Why a tick ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TickEnd {
    /// Nothing that it may run is due.
    NothingDue,
    /// It claimed as many as it may.
    Limit,
    /// Its time was over.
    Time,
}

/// Why a task was not run although its id was given.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skipped {
    /// There is no such task.
    Missing,
    /// The worker has no handler for its kind, or does not claim from its queue.
    NotServed {
        /// Its queue.
        queue: Queue,
        /// Its kind.
        kind: Kind,
    },
    /// It is due later.
    NotDue(Timestamp),
    /// It is in a state from which it is not to be run.
    State(State),
    /// It could not be made due: its unique key is taken, say, or it changed meanwhile.
    Refused(String),
    /// It was due and not claimed: its queue is paused, another worker has it, or a bound of the tick was reached.
    NotClaimed,
}

impl Worker {
    /// One bounded round beside or instead of [`start`](Self::start), for programs with a scheduler of their own: runs what
    /// is due, of this worker's kinds, until nothing is or a bound is reached, then shuts down gracefully.
    ///
    /// It opens a session, runs the loops as long as the tick lasts, and closes the session: between ticks nothing runs
    /// and nothing is left in the store. What is due again within the round by its own work runs again. Expired tasks
    /// of lost workers are rescued too; when another worker's lease has ended, the round lasts at least the rescuer's
    /// grace of three seconds, so that its tasks come back also where only ticks run.
    ///
    /// If this future is dropped, the round stops without grace, as a crash would stop it.
    ///
    /// ```
    /// # use retry_core as task_retry;
    /// # use task_retry::{client::Client, draft::{Draft, TaskOptions}, engine::{KindOptions, TickOptions, Worker}};
    /// # use task_retry::{executor::{Ctx, Executor, HandlerError, Outcome}, payload::Payload, store::MemoryStore};
    /// # struct Done;
    /// # impl Executor for Done {
    /// #     fn execute(&self, _: Payload, _: Ctx) -> futures_util::future::BoxFuture<'static, Result<Outcome, HandlerError>> {
    /// #         Box::pin(async { Ok(Outcome::Done) })
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(MemoryStore::new());
    /// # let worker = Worker::builder(&client)
    /// #     .executor("report", std::sync::Arc::new(Done), TaskOptions::new(), KindOptions::new()).build()?;
    /// client.enqueue(Draft::raw("report", Payload::null())).await?;
    /// let summary = worker.tick(TickOptions::new().time_limit(std::time::Duration::from_secs(55))).await?;
    /// assert_eq!((summary.claimed, summary.succeeded), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The options are invalid, or the store did not answer at the start. What fails later is retried as in
    /// [`start`](Self::start).
    pub async fn tick(&self, options: impl Into<TickOptions>) -> Result<TickSummary> {
        let options = options.into();
        options.check()?;
        let clock = &self.setup.clock;
        let over = options
            .time_limit
            .map_or(Monotonic::NEVER, |limit| clock.monotonic() + limit);
        let prepared = Box::pin(self.prepare(&options));
        let (abandoned, skipped) = match select(prepared, clock.sleep_until(over)).await {
            Either::Left((prepared, _)) => prepared?,
            Either::Right(((), _)) => {
                let message = "the tick's time was over before the store answered";
                return Err(StoreError::unknown(StoreErrorKind::Unavailable, message));
            }
        };
        let asked = options
            .ids
            .map(|ids| ids.into_iter().filter(|id| !skipped.contains_key(id)).collect());
        let window = options.window.within(self.setup.config.window);
        let handle = self.run(Round::tick(asked, window, options.limit));
        let done = handle.until(|part| {
            let rescued = if abandoned { &part.marked } else { &part.rescued };
            part.is_idle() && rescued.load(Ordering::Acquire)
        });
        let in_time = matches!(
            select(Box::pin(done), clock.sleep_until(over)).await,
            Either::Left(_)
        );
        let round = Arc::clone(handle.engine());
        handle.shutdown().await;
        let ended = match (in_time, round.round.is_spent()) {
            (true, false) => TickEnd::NothingDue,
            (true, true) => TickEnd::Limit,
            (false, _) => TickEnd::Time,
        };
        Ok(summary(&round.round, skipped, ended))
    }

    fn run(&self, round: Round) -> WorkerHandle {
        WorkerHandle::start(Arc::clone(&self.setup), round)
    }

    /// Whether another worker's lease has ended, and which of the given ids cannot run.
    async fn prepare(&self, options: &TickOptions) -> Result<(bool, HashMap<TaskId, Skipped>)> {
        let mut abandoned = false;
        let members = self.setup.store.parts();
        let store = std::slice::from_ref(&self.setup.store);
        let (mut answered, mut silent) = (false, None);
        for part in if members.is_empty() { store } else { &members } {
            match has_ended_leases(part).await {
                Ok(has) => (answered, abandoned) = (true, abandoned | has),
                Err(error) => silent = Some(error),
            }
        }
        if let Some(error) = silent.filter(|error| !answered || !error.is_retryable()) {
            return Err(error);
        }
        let mut skipped = HashMap::new();
        let setup = &self.setup;
        let client = Client::with_seams(
            Arc::clone(&setup.store),
            Arc::clone(&setup.clock),
            Arc::clone(&setup.random),
            Arc::clone(&setup.spawn),
        );
        for id in options.ids.iter().flatten() {
            if let Some(why) = self.make_due(&client, *id, &options.from_states).await? {
                skipped.insert(*id, why);
            }
        }
        Ok((abandoned, skipped))
    }

    /// Makes a task due if its state is one of `from`; why it cannot run.
    async fn make_due(&self, client: &Client, id: TaskId, from: &[State]) -> Result<Option<Skipped>> {
        let Some(detail) = self.setup.store.get(id).await? else {
            return Ok(Some(Skipped::Missing));
        };
        let task = detail.task;
        if !self.setup.kinds.contains_key(&task.kind) || !self.setup.queues.contains(&task.queue) {
            let (queue, kind) = (task.queue, task.kind);
            return Ok(Some(Skipped::NotServed { queue, kind }));
        }
        let now = client.now(id.shard()).await?;
        let moved = match task.state {
            State::Pending if task.run_at <= now => return Ok(None),
            State::Pending if from.contains(&task.state) => client.run_now(id).await,
            State::Pending => return Ok(Some(Skipped::NotDue(task.run_at))),
            state if state.is_final() && from.contains(&state) => client.rerun(id).await,
            state => return Ok(Some(Skipped::State(state))),
        };
        match moved {
            Ok(_) => Ok(None),
            Err(Error::Store(error)) => Err(error),
            Err(error) => Ok(Some(Skipped::Refused(error.to_string()))),
        }
    }
}

async fn has_ended_leases(part: &Arc<dyn TaskStore>) -> Result<bool> {
    let (now, sessions) = (part.time().await?, part.sessions().await?);
    Ok(sessions
        .iter()
        .any(|session| !session.lost && session.lease_until < now))
}

fn summary(round: &Round, mut skipped: HashMap<TaskId, Skipped>, ended: TickEnd) -> TickSummary {
    let tally = round.tally();
    for id in round.ids.iter().flatten().filter(|id| !tally.ids.contains(id)) {
        skipped.insert(*id, Skipped::NotClaimed);
    }
    let mut skipped: Vec<_> = skipped.into_iter().collect();
    skipped.sort_by_key(|(id, _)| *id);
    let Tally {
        claimed,
        succeeded,
        failed,
        cancelled,
        retried,
        put_off,
        waiting,
        ..
    } = tally;
    TickSummary {
        claimed,
        succeeded,
        failed,
        cancelled,
        retried,
        put_off,
        waiting,
        skipped,
        ended,
    }
}

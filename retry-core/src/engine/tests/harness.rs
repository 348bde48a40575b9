//! A world of one store and one clock, with workers and a client in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::faulty::FaultyStore;
use crate::client::{Client, Enqueued};
use crate::clock::{Clock as _, ManualClock};
use crate::draft::{Draft, TaskOptions};
use crate::engine::{KindOptions, Worker, WorkerBuilder, WorkerHandle};
use crate::executor::{Ctx, Executor, HandlerError, Outcome};
use crate::id::TaskId;
use crate::payload::Payload;
use crate::policy::{Backoff, Jitter, RetryPolicy};
use crate::seams::SeededRandom;
use crate::store::{MemoryStore, Page, TaskFilter, TaskStore as _};
use crate::task::{State, Task, TaskDetail};
use crate::time::Timestamp;

/// Polls that everything ready gets before time moves on.
const QUIET: usize = 60;
/// Moves of the clock after which a test gives up.
const PATIENCE: usize = 5_000;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) type Answer = Result<Outcome, HandlerError>;

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) memory: MemoryStore,
    pub(crate) client: Client<MemoryStore>,
    /// Every worker draws from a seed of its own.
    seeds: AtomicU64,
}

/// An executor made of a closure.
struct Script<F>(F);

impl<F, Fut> Executor for Script<F>
where
    F: Fn(Ctx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    fn execute(&self, _payload: Payload, ctx: Ctx) -> BoxFuture<'static, Answer> {
        Box::pin((self.0)(ctx))
    }
}

pub(crate) fn script<F, Fut>(script: F) -> Arc<dyn Executor>
where
    F: Fn(Ctx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    Arc::new(Script(script))
}

/// Succeeds at once.
pub(crate) fn done() -> Arc<dyn Executor> {
    script(|_| async { Ok(Outcome::Done) })
}

/// Runs until cancelled, then hands back.
pub(crate) fn until_cancelled() -> Arc<dyn Executor> {
    script(|ctx| async move {
        ctx.cancelled().await;
        Err("cancelled".into())
    })
}

/// Never ends and does not listen.
pub(crate) fn stuck() -> Arc<dyn Executor> {
    script(|_| std::future::pending())
}

/// A retry after exactly a second, `attempts` times at most.
pub(crate) fn each_second(attempts: u32) -> RetryPolicy {
    RetryPolicy::builder()
        .backoff(Backoff::fixed(SECOND))
        .jitter(Jitter::None)
        .max_attempts(attempts)
        .build()
        .unwrap()
}

/// A task of a kind, retried after a second.
pub(crate) fn job(kind: &str) -> Draft {
    Draft::raw(kind, Payload::null()).retry(each_second(3))
}

impl World {
    pub(crate) fn new() -> Self {
        Self::at(ManualClock::new())
    }

    fn at(clock: ManualClock) -> Self {
        let memory = MemoryStore::with_clock(Arc::new(clock.clone()));
        let client = Client::builder(memory.clone())
            .clock(Arc::new(clock.clone()))
            .random(Arc::new(SeededRandom::new(1)))
            .build();
        Self {
            clock,
            memory,
            client,
            seeds: AtomicU64::new(2),
        }
    }

    /// A world with the same clock and a store of its own.
    pub(crate) fn beside(other: &Self) -> Self {
        Self::at(other.clock.clone())
    }

    /// Another way to the store, with faults of its own.
    pub(crate) fn store(&self) -> FaultyStore {
        FaultyStore::new(self.memory.clone())
    }

    pub(crate) fn worker(&self) -> WorkerBuilder {
        self.worker_on(&self.store())
    }

    pub(crate) fn worker_on(&self, store: &FaultyStore) -> WorkerBuilder {
        Worker::builder(store.clone())
            .clock(Arc::new(self.clock.clone()))
            .random(Arc::new(SeededRandom::new(
                self.seeds.fetch_add(1, Ordering::Relaxed),
            )))
            .name("tester")
    }

    pub(crate) async fn enqueue(&self, draft: Draft) -> TaskId {
        let enqueued: Enqueued = self.client.enqueue(draft).await.unwrap();
        assert!(enqueued.is_new());
        enqueued.id
    }

    pub(crate) async fn detail(&self, id: TaskId) -> TaskDetail {
        self.memory.get(id).await.unwrap().expect("the task is stored")
    }

    pub(crate) async fn state(&self, id: TaskId) -> State {
        self.detail(id).await.task.state
    }

    /// The stored tasks that pass, newest first.
    pub(crate) async fn list(&self, filter: TaskFilter) -> Vec<Task> {
        let listed = self.memory.list(&filter, &Page::first(1_000)).await.unwrap();
        listed.tasks.into_iter().map(|row| row.task).collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The time since the world began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.monotonic().since_start()
    }

    /// Moves the clock by `span`, sleeper by sleeper.
    pub(crate) async fn pass(&self, span: Duration) {
        let end = self.clock.monotonic() + span;
        quiet().await;
        while let Some(next) = self.clock.next_deadline().filter(|next| *next <= end) {
            self.clock.advance(next.saturating_since(self.clock.monotonic()));
            quiet().await;
        }
        self.clock.advance(end.saturating_since(self.clock.monotonic()));
        quiet().await;
    }

    /// Moves the clock until `done`; fails with `what` when that does not come.
    pub(crate) async fn until(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        for _ in 0..PATIENCE {
            quiet().await;
            if done().await {
                return;
            }
            assert!(
                self.clock.advance_to_next(),
                "{what}: nothing sleeps and nothing moves"
            );
        }
        panic!("{what}: not within {:?} of the world's time", self.elapsed());
    }

    pub(crate) async fn until_state(&self, id: TaskId, state: State) -> TaskDetail {
        let what = format!("the task becomes {state}");
        self.until(&what, async || self.state(id).await == state).await;
        self.detail(id).await
    }

    pub(crate) async fn until_final(&self, id: TaskId) -> TaskDetail {
        self.until("the task ends", async || self.state(id).await.is_final())
            .await;
        self.detail(id).await
    }

    /// Ends when `future` has, moving the clock meanwhile.
    pub(crate) async fn finish<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        for _ in 0..PATIENCE {
            for _ in 0..QUIET {
                if let Some(output) = futures_util::FutureExt::now_or_never(&mut future) {
                    return output;
                }
                tokio::task::yield_now().await;
            }
            assert!(
                self.clock.advance_to_next(),
                "{what}: nothing sleeps and nothing moves"
            );
        }
        panic!("{what}: not within {:?} of the world's time", self.elapsed());
    }

    pub(crate) async fn shut_down(&self, handle: WorkerHandle) {
        self.finish("the shutdown", handle.shutdown()).await;
    }
}

/// Adds a kind with default options.
pub(crate) trait WithKind {
    fn kind(self, kind: &str, executor: Arc<dyn Executor>) -> Self;
    fn kind_with(self, kind: &str, executor: Arc<dyn Executor>, options: KindOptions) -> Self;
}

impl WithKind for WorkerBuilder {
    fn kind(self, kind: &str, executor: Arc<dyn Executor>) -> Self {
        self.kind_with(kind, executor, KindOptions::new())
    }

    fn kind_with(self, kind: &str, executor: Arc<dyn Executor>, options: KindOptions) -> Self {
        self.executor(kind, executor, TaskOptions::new().retry(each_second(3)), options)
    }
}

/// Lets everything that is ready run.
pub(crate) async fn quiet() {
    for _ in 0..QUIET {
        tokio::task::yield_now().await;
    }
}

/// Counts, and remembers the highest count at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<[AtomicUsize; 3]>);

impl Meter {
    pub(crate) fn enter(&self) -> Inside {
        let now = self.0[0].fetch_add(1, Ordering::SeqCst) + 1;
        self.0[1].fetch_max(now, Ordering::SeqCst);
        self.0[2].fetch_add(1, Ordering::SeqCst);
        Inside(self.clone())
    }

    /// How many were inside at once at most.
    pub(crate) fn most(&self) -> usize {
        self.0[1].load(Ordering::SeqCst)
    }

    /// How many entered in all.
    pub(crate) fn total(&self) -> usize {
        self.0[2].load(Ordering::SeqCst)
    }
}

/// Leaves when dropped.
pub(crate) struct Inside(Meter);

impl Inside {
    /// How many have entered so far.
    pub(crate) fn total(&self) -> usize {
        self.0.total()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0[0].fetch_sub(1, Ordering::SeqCst);
    }
}

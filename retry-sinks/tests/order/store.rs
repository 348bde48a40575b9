//! A host's way to the shared store: calls take time, fail before they reach it, fail behind it, or reach it late.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use retry_core::clock::{Clock as _, ManualClock};
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::seams::{Random as _, SeededRandom};
use retry_core::store::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed,
    MemoryStore, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, StoreError,
    StoreErrorKind, TaskFilter, TaskStore, Wakeups,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::exec::{Exec, Host, yield_once};

/// Where calls are carried on whose callers do not wait for them any more.
pub(crate) const NETWORK: Host = 1_000;

#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) store: MemoryStore,
    clock: ManualClock,
    exec: Exec,
    random: Arc<SeededRandom>,
    /// Of a thousand calls so many fail.
    failing: Arc<AtomicU64>,
    /// Sessions of partitions are opened when it is cancelled.
    gate: CancellationToken,
    /// Claims of the worker hang.
    stuck: Arc<AtomicBool>,
    /// Every call hangs.
    silent: Arc<AtomicBool>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

fn unknown() -> StoreError {
    StoreError::unknown(StoreErrorKind::Unavailable, "no answer")
}

impl Link {
    pub(crate) fn new(store: MemoryStore, clock: ManualClock, exec: Exec, seed: u64) -> Self {
        let open = CancellationToken::new();
        open.cancel();
        Self {
            store,
            clock,
            exec,
            random: Arc::new(SeededRandom::new(seed)),
            failing: Arc::default(),
            gate: open,
            stuck: Arc::default(),
            silent: Arc::default(),
        }
    }

    /// The same way, on which sessions of partitions are opened when `gate` is cancelled.
    pub(crate) fn gated(self, gate: CancellationToken) -> Self {
        Self { gate, ..self }
    }

    /// Of a thousand calls so many fail from now on.
    pub(crate) fn fail(&self, of_thousand: u64) {
        self.failing.store(of_thousand, Ordering::Relaxed);
    }

    /// From now on what the worker inside claims or settles hangs; partitions do not.
    pub(crate) fn hang(&self) {
        self.stuck.store(true, Ordering::Relaxed);
    }

    /// Whether calls made from now on hang.
    pub(crate) fn fall_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    /// Carries a call to the store and its answer back.
    async fn call<T, F, C>(&self, call: C) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
        C: FnOnce(MemoryStore) -> F,
    {
        if self.silent.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        for _ in 0..self.random.next_u64() % 3 {
            yield_once().await;
        }
        let call = call(self.store.clone());
        if self.random.next_u64() % 1_000 >= self.failing.load(Ordering::Relaxed) {
            let answer = call.await;
            yield_once().await;
            return answer;
        }
        match self.random.next_u64() % 4 {
            0 => {
                let message = "the connection was refused";
                Err(StoreError::rejected(StoreErrorKind::Unavailable, message))
            }
            1 => Err(unknown()),
            2 => call.await.and(Err(unknown())),
            // It arrives when its caller has long given up.
            _ => {
                let (wait, clock) = (self.random.next_u64() % 6_000, self.clock.clone());
                self.exec.spawn(
                    NETWORK,
                    Box::pin(async move {
                        let until = clock.monotonic() + Duration::from_millis(wait.saturating_sub(2_000));
                        clock.sleep_until(until).await;
                        for _ in 0..wait / 10 {
                            yield_once().await;
                        }
                        drop(call.await);
                    }),
                );
                Err(unknown())
            }
        }
    }
}

#[async_trait]
impl TaskStore for Link {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let tasks = tasks.to_vec();
        self.call(|store| async move { store.insert(&tasks, now).await })
            .await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        let (edits, claims) = (edits.to_vec(), claims.to_vec());
        let of_worker = claims.iter().any(|claim| claim.queue.as_str() != "events/0");
        if of_worker && self.stuck.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.call(|store| async move { store.exchange(&edits, &claims, now).await })
            .await
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        let info = info.clone();
        if info.queues.len() == 1 {
            self.gate.cancelled().await;
        }
        self.call(|store| async move { store.open_session(&info, until, now).await })
            .await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        self.call(|store| async move { store.renew(session, until, now).await })
            .await
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.call(|store| async move { store.close_session(session).await })
            .await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.call(|store| async move { store.sessions().await }).await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        let request = *request;
        self.call(|store| async move { store.expired(&request, now).await })
            .await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.call(|store| async move { store.get(id).await }).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        let (filter, page) = (filter.clone(), *page);
        self.call(|store| async move { store.list(&filter, &page).await })
            .await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        let scope = scope.clone();
        self.call(|store| async move { store.count(&scope).await }).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.call(|store| async move { store.purge(now, limit).await })
            .await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        let queue = queue.clone();
        self.call(|store| async move { store.set_queue(&queue, setting).await })
            .await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.call(|store| async move { store.queues().await }).await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.call(|store| async move { store.time().await }).await
    }

    async fn migrate(&self) -> Result<()> {
        Ok(())
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.store.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }
}

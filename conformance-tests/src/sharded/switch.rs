//! A part that can be switched off, and whose answers can be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use async_trait::async_trait;
use retry_core::id::{SessionId, Shard, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed, Page,
    QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, StoreError, StoreErrorKind, TaskFilter,
    TaskStore, Wakeups,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

/// What becomes of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    On,
    /// Nothing arrives, and the caller knows.
    Off,
    /// It is done, and the caller does not hear of it.
    Mute,
}

#[derive(Debug, Clone)]
pub(super) struct Switch {
    part: Arc<dyn TaskStore>,
    state: Arc<AtomicU8>,
    calls: Arc<AtomicUsize>,
}

impl Switch {
    pub(super) fn new(part: Arc<dyn TaskStore>) -> Self {
        let (state, calls) = (Arc::default(), Arc::default());
        Self { part, state, calls }
    }

    pub(super) fn set(&self, state: State) {
        self.state.store(state as u8, Ordering::SeqCst);
    }

    /// Calls so far.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let state = self.state.load(Ordering::SeqCst);
        if state == State::Off as u8 {
            return Err(StoreError::rejected(StoreErrorKind::Unavailable, "switched off"));
        }
        let answer = call.await;
        if state == State::Mute as u8 {
            return Err(StoreError::unknown(
                StoreErrorKind::Unavailable,
                "the answer is lost",
            ));
        }
        answer
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods, reason = "every call can fail")]
impl TaskStore for Switch {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        self.call(self.part.insert(tasks, now)).await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        self.call(self.part.exchange(edits, claims, now)).await
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        self.call(self.part.open_session(info, until, now)).await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        self.call(self.part.renew(session, until, now)).await
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.call(self.part.close_session(session)).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.call(self.part.sessions()).await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        self.call(self.part.expired(request, now)).await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.call(self.part.get(id)).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        self.call(self.part.list(filter, page)).await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        self.call(self.part.count(scope)).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.call(self.part.purge(now, limit)).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        self.call(self.part.set_queue(queue, setting)).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.call(self.part.queues()).await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.call(self.part.time()).await
    }

    async fn time_of(&self, part: usize) -> Result<Timestamp> {
        self.call(self.part.time_of(part)).await
    }

    async fn migrate(&self) -> Result<()> {
        self.call(self.part.migrate()).await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.part.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.part.durability()
    }

    fn part_of(&self, shard: Shard) -> Option<usize> {
        self.part.part_of(shard)
    }

    fn parts(&self) -> Vec<Arc<dyn TaskStore>> {
        self.part.parts()
    }
}

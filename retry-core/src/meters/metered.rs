//! A store whose failed calls are counted by call and kind of error.

use std::sync::Arc;

use async_trait::async_trait;

use super::names;
use crate::id::{SessionId, Shard, TaskId};
use crate::name::Queue;
use crate::store::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed, Page,
    QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, StoreErrorKind, TaskFilter, TaskStore,
    Wakeups,
};
use crate::task::{Edit, NewTask, TaskDetail};
use crate::time::Timestamp;

#[derive(Debug)]
pub(super) struct Metered {
    inner: Arc<dyn TaskStore>,
}

impl Metered {
    pub(super) fn new(inner: Arc<dyn TaskStore>) -> Self {
        Self { inner }
    }
}

/// A call under way: dropped before its answer it counts as abandoned.
struct Call(Option<&'static str>);

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(name) = self.0 {
            count(name, "abandoned");
        }
    }
}

async fn counted<T>(name: &'static str, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let mut under_way = Call(Some(name));
    let answer = call.await;
    under_way.0 = None;
    if let Err(error) = &answer {
        count(name, label(error.kind()));
    }
    answer
}

fn count(call: &'static str, error: &'static str) {
    metrics::counter!(names::STORE_ERRORS, "call" => call, "error" => error).increment(1);
}

const fn label(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::Unavailable => "unavailable",
        StoreErrorKind::Busy => "busy",
        StoreErrorKind::Full => "full",
        StoreErrorKind::ReadOnly => "read_only",
        StoreErrorKind::Corrupt => "corrupt",
        StoreErrorKind::Schema => "schema",
        StoreErrorKind::Invalid => "invalid",
        StoreErrorKind::Other => "other",
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods, reason = "a new method must be counted too")]
impl TaskStore for Metered {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        counted("insert", self.inner.insert(tasks, now)).await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        counted("exchange", self.inner.exchange(edits, claims, now)).await
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        counted("open_session", self.inner.open_session(info, until, now)).await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        counted("renew", self.inner.renew(session, until, now)).await
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        counted("close_session", self.inner.close_session(session)).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        counted("sessions", self.inner.sessions()).await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        counted("expired", self.inner.expired(request, now)).await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        counted("get", self.inner.get(id)).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        counted("list", self.inner.list(filter, page)).await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        counted("count", self.inner.count(scope)).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        counted("purge", self.inner.purge(now, limit)).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        counted("set_queue", self.inner.set_queue(queue, setting)).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        counted("queues", self.inner.queues()).await
    }

    async fn time(&self) -> Result<Timestamp> {
        counted("time", self.inner.time()).await
    }

    async fn migrate(&self) -> Result<()> {
        counted("migrate", self.inner.migrate()).await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.inner.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    async fn time_of(&self, part: usize) -> Result<Timestamp> {
        counted("time", self.inner.time_of(part)).await
    }

    fn part_of(&self, shard: Shard) -> Option<usize> {
        self.inner.part_of(shard)
    }

    fn parts(&self) -> Vec<Arc<dyn TaskStore>> {
        self.inner.parts()
    }
}

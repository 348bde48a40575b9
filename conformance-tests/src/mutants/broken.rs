//! A right store with a fault in front of it.

use std::fmt;

use async_trait::async_trait;
use retry_core::id::{SessionId, Shard, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed, Page,
    QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, TaskFilter, TaskStore, Wakeups,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use super::base::Base;

/// What a mutant does differently; what it leaves out is done right.
#[async_trait]
pub(super) trait Fault: fmt::Debug + Send + Sync + 'static {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        store.insert(tasks, now).await
    }

    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        store.exchange(edits, claims, now).await
    }

    async fn renew(
        &self,
        store: &Base,
        session: SessionId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Renewed> {
        store.renew(session, until, now).await
    }

    async fn expired(&self, store: &Base, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        store.expired(request, now).await
    }

    async fn get(&self, store: &Base, id: TaskId) -> Result<Option<TaskDetail>> {
        store.get(id).await
    }

    async fn list(&self, store: &Base, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        store.list(filter, page).await
    }

    async fn count(&self, store: &Base, scope: &CountScope) -> Result<Counts> {
        store.count(scope).await
    }

    async fn purge(&self, store: &Base, now: Timestamp, limit: usize) -> Result<u64> {
        store.purge(now, limit).await
    }

    async fn open_session(
        &self,
        store: &Base,
        info: &SessionInfo,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        store.open_session(info, until, now).await
    }

    async fn close_session(&self, store: &Base, session: SessionId) -> Result<()> {
        store.close_session(session).await
    }

    async fn sessions(&self, store: &Base) -> Result<Vec<Session>> {
        store.sessions().await
    }

    async fn set_queue(&self, store: &Base, queue: &Queue, setting: QueueSetting) -> Result<()> {
        store.set_queue(queue, setting).await
    }

    async fn queues(&self, store: &Base) -> Result<Vec<QueueInfo>> {
        store.queues().await
    }

    fn watch(&self, store: &Base, queues: &[Queue]) -> Wakeups {
        store.watch(queues)
    }
}

/// No fault.
#[derive(Debug, Default)]
pub(super) struct NoFault;

impl Fault for NoFault {}

#[derive(Debug)]
pub(super) struct Broken<F> {
    store: Base,
    fault: F,
}

impl<F> Broken<F> {
    pub(super) const fn new(store: Base, fault: F) -> Self {
        Self { store, fault }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<F: Fault> TaskStore for Broken<F> {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        self.fault.insert(&self.store, tasks, now).await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        self.fault.exchange(&self.store, edits, claims, now).await
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        self.fault.open_session(&self.store, info, until, now).await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        self.fault.renew(&self.store, session, until, now).await
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.fault.close_session(&self.store, session).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.fault.sessions(&self.store).await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        self.fault.expired(&self.store, request, now).await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.fault.get(&self.store, id).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        self.fault.list(&self.store, filter, page).await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        self.fault.count(&self.store, scope).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.fault.purge(&self.store, now, limit).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        self.fault.set_queue(&self.store, queue, setting).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.fault.queues(&self.store).await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.store.time().await
    }

    async fn migrate(&self) -> Result<()> {
        self.store.migrate().await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.fault.watch(&self.store, queues)
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    async fn time_of(&self, part: usize) -> Result<Timestamp> {
        self.store.time_of(part).await
    }

    fn part_of(&self, shard: Shard) -> Option<usize> {
        self.store.part_of(shard)
    }

    fn parts(&self) -> Vec<std::sync::Arc<dyn TaskStore>> {
        self.store.parts()
    }
}

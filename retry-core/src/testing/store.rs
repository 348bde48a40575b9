//! A worker's way to the store of the kit: it can be down, and lose answers.

use std::sync::Arc;

use async_trait::async_trait;

use super::desk::Desk;
use crate::id::{SessionId, TaskId};
use crate::name::Queue;
use crate::store::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed,
    MemoryStore, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, StoreError,
    StoreErrorKind, TaskFilter, TaskStore, Wakeups,
};
use crate::task::{Action, Edit, NewTask, State, TaskDetail};
use crate::time::Timestamp;

#[derive(Debug, Clone)]
pub(super) struct KitStore {
    pub(super) memory: MemoryStore,
    pub(super) desk: Arc<Desk>,
}

impl KitStore {
    fn up(&self) -> Result<&MemoryStore> {
        if self.desk.is_down() {
            let message = "the kit's store is down";
            return Err(StoreError::rejected(StoreErrorKind::Unavailable, message));
        }
        Ok(&self.memory)
    }
}

/// Whether the edit ends an attempt.
fn settles(edit: &Edit) -> bool {
    match &edit.action {
        Action::Set(change) => change.from == State::Running && change.to.state != State::Running,
        Action::Delete { from } => *from == State::Running,
        Action::RequestCancel | Action::StoreCompletion(_) => false,
    }
}

#[async_trait]
impl TaskStore for KitStore {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        self.up()?.insert(tasks, now).await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        let answer = self.up()?.exchange(edits, claims, now).await?;
        if edits.iter().any(settles) && self.desk.loses_reply() {
            let message = "the answer was lost";
            return Err(StoreError::unknown(StoreErrorKind::Unavailable, message));
        }
        Ok(answer)
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        self.up()?.open_session(info, until, now).await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        self.up()?.renew(session, until, now).await
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.up()?.close_session(session).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.up()?.sessions().await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        self.up()?.expired(request, now).await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.up()?.get(id).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        self.up()?.list(filter, page).await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        self.up()?.count(scope).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.up()?.purge(now, limit).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        self.up()?.set_queue(queue, setting).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.up()?.queues().await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.up()?.time().await
    }

    async fn migrate(&self) -> Result<()> {
        self.up()?.migrate().await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.memory.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.memory.durability()
    }
}

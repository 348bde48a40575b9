//! What mutants are made of: the store in memory, whose rows can be damaged.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use retry_core::clock::ManualClock;
use retry_core::id::{Nonce, SessionId, TaskId};
use retry_core::machine::{Event, transition};
use retry_core::name::Queue;
use retry_core::store::{
    BadRecord, ClaimRequest, Claimed, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest,
    Inserted, Listed, MemoryStore, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo,
    StoreError, StoreErrorKind, TaskFilter, TaskStore, Wakeups,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use crate::fixture::failure;

/// A store in memory some of whose rows count as unreadable. Clones share the data.
#[derive(Debug, Clone)]
pub(super) struct Base {
    store: MemoryStore,
    damaged: Arc<Mutex<BTreeSet<TaskId>>>,
}

impl Base {
    pub(super) fn new(clock: ManualClock) -> Self {
        Self {
            store: MemoryStore::with_clock(Arc::new(clock)),
            damaged: Arc::default(),
        }
    }

    fn damaged(&self) -> MutexGuard<'_, BTreeSet<TaskId>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the row of a task unreadable.
    pub(super) fn damage(&self, id: TaskId) {
        self.damaged().insert(id);
    }

    pub(super) fn is_damaged(&self, id: TaskId) -> bool {
        self.damaged().contains(&id)
    }

    /// Moves the unreadable rows of a claim to failed, and reports them.
    async fn put_aside(&self, claimed: &mut Claimed, now: Timestamp) -> Result<()> {
        let tasks = std::mem::take(&mut claimed.tasks);
        for claim in tasks {
            if !self.is_damaged(claim.task.id) {
                claimed.tasks.push(claim);
                continue;
            }
            let failure = failure(&claim.task, "unreadable", now);
            let action = transition(&claim.task, Event::Fail { failure }, now, 0);
            let edit = Edit {
                id: claim.task.id,
                version: claim.task.version,
                nonce: Nonce::from_random(claim.task.version + 7_777),
                action: action.map_err(|error| StoreError::invalid(error.to_string()))?,
                insert: Vec::new(),
            };
            self.store.exchange(&[edit], &[], now).await?;
            claimed.bad.push(bad(claim.task.id));
        }
        Ok(())
    }
}

/// What is told about an unreadable row.
pub(super) fn bad(id: TaskId) -> BadRecord {
    BadRecord {
        id,
        version: 0,
        reason: "unreadable".to_owned(),
    }
}

#[async_trait]
impl TaskStore for Base {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        self.store.insert(tasks, now).await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        let mut answer = self.store.exchange(edits, claims, now).await?;
        for claimed in &mut answer.claimed {
            self.put_aside(claimed, now).await?;
        }
        Ok(answer)
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, now: Timestamp) -> Result<()> {
        self.store.open_session(info, until, now).await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, now: Timestamp) -> Result<Renewed> {
        self.store.renew(session, until, now).await
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.store.close_session(session).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.store.sessions().await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        let mut expired = self.store.expired(request, now).await?;
        let (unreadable, items) = std::mem::take(&mut expired.items)
            .into_iter()
            .partition(|(task, _)| self.is_damaged(task.id));
        expired.items = items;
        let unreadable: Vec<_> = unreadable;
        expired.bad = unreadable.into_iter().map(|(task, _)| bad(task.id)).collect();
        Ok(expired)
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        if self.is_damaged(id) {
            return Err(StoreError::rejected(StoreErrorKind::Corrupt, "unreadable"));
        }
        self.store.get(id).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        let mut listed = self.store.list(filter, page).await?;
        let unreadable = listed.tasks.iter().filter(|row| self.is_damaged(row.task.id));
        listed.bad = unreadable.map(|row| bad(row.task.id)).collect();
        listed.tasks.retain(|row| !self.is_damaged(row.task.id));
        Ok(listed)
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        self.store.count(scope).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        self.store.purge(now, limit).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        self.store.set_queue(queue, setting).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.store.queues().await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.store.time().await
    }

    async fn migrate(&self) -> Result<()> {
        self.store.migrate().await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.store.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }
}

//! The store in memory: the smallest correct one. It serves doctests, dry runs and as the model of all others.

mod claim;
mod edit;
mod read;
mod rescue;
mod rows;
mod transaction;
#[cfg(test)]
mod transaction_test;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use self::rows::{Row, Rows};
pub use self::transaction::MemoryTransaction;
use super::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed, Page,
    QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, TaskFilter, TaskStore, Waker, Wakeups,
    check,
};
use crate::clock::{Clock, SystemClock};
use crate::id::{SessionId, TaskId};
use crate::name::Queue;
use crate::task::{Edit, NewTask, TaskDetail};
use crate::time::Timestamp;

/// A [`TaskStore`] in memory. Clones share the tasks, which live as long as the last clone.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    rows: Arc<Mutex<Rows>>,
    waker: Arc<Waker>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty store with the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock::new()))
    }

    /// An empty store that shows the time of `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            rows: Arc::default(),
            waker: Arc::default(),
            clock,
        }
    }

    /// Stores a record as it is, in place of the one with the same id.
    pub(crate) fn put_copy(&self, detail: TaskDetail) {
        let last_nonce = 0;
        self.rows().put(Box::new(Row { detail, last_nonce }));
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, queues: impl IntoIterator<Item = Queue>) {
        queues.into_iter().for_each(|queue| self.waker.wake(&queue));
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl TaskStore for MemoryStore {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        check::insert(tasks)?;
        let (inserted, woken) = {
            let mut rows = self.rows();
            let inserted = tasks.iter().map(|task| rows.insert(task, now)).collect();
            (inserted, rows.take_woken())
        };
        self.wake(woken);
        Ok(inserted)
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        check::exchange(edits, claims)?;
        let (exchanged, woken) = {
            let mut rows = self.rows();
            let applied = edits.iter().map(|edit| rows.apply(edit, now)).collect();
            let claimed = claims.iter().map(|claim| rows.claim(claim, now)).collect();
            (Exchanged::new(applied, claimed), rows.take_woken())
        };
        self.wake(woken);
        Ok(exchanged)
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, _now: Timestamp) -> Result<()> {
        self.rows().open_session(info, until)
    }

    async fn renew(&self, session: SessionId, until: Timestamp, _now: Timestamp) -> Result<Renewed> {
        Ok(self.rows().renew(session, until))
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.rows().close_session(session);
        Ok(())
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        Ok(self.rows().sessions())
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        check::expired(request)?;
        Ok(self.rows().expired(request, now))
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        Ok(self.rows().get(id))
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        check::page(page)?;
        Ok(self.rows().list(filter, page))
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        Ok(self.rows().count(scope))
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        check::purge(limit)?;
        Ok(self.rows().purge(now, limit))
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        self.rows().set_queue(queue, setting);
        self.wake([queue.clone()]);
        Ok(())
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        Ok(self.rows().queues())
    }

    async fn time(&self) -> Result<Timestamp> {
        Ok(self.clock.now())
    }

    async fn migrate(&self) -> Result<()> {
        Ok(())
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.waker.watch(queues)
    }

    fn durability(&self) -> Durability {
        Durability::None
    }
}

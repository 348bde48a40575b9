#![doc = include_str!("../README.md")]

mod claim;
mod edit;
mod log;
mod read;
mod rescue;
mod rows;
mod stored;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use retry_core::clock::Clock;
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed, Page,
    QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, TaskFilter, TaskStore, Waker, Wakeups,
    check,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use log::Log;
use rows::Rows;

/// A store in one file. Clones share it.
#[derive(Debug, Clone)]
pub struct LogStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    waker: Waker,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct State {
    rows: Rows,
    log: Log,
}

impl LogStore {
    /// Opens the store in the file `path`, creating it if there is none.
    ///
    /// # Errors
    /// The file cannot be read or locked, or is damaged before its last line.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let (log, rows) = Log::open(path)?;
        let state = Mutex::new(State { rows, log });
        let waker = Waker::new();
        let shared = Arc::new(Shared { state, waker, clock });
        Ok(Self { shared })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change: in memory, then in the file; when that fails, not at all. Workers are woken when it is done.
    fn write<T>(&self, change: impl FnOnce(&mut Rows) -> Result<T>) -> Result<T> {
        let mut state = self.state();
        let State { rows, log } = &mut *state;
        let done = change(rows).and_then(|answer| {
            log.append(rows)?;
            Ok(answer)
        });
        let woken = rows.finish(done.is_ok());
        drop(state);
        woken.iter().for_each(|queue| self.shared.waker.wake(queue));
        done
    }
}

#[async_trait]
impl TaskStore for LogStore {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        check::insert(tasks)?;
        self.write(|rows| Ok(tasks.iter().map(|new| rows.insert(new, now)).collect()))
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        check::exchange(edits, claims)?;
        self.write(|rows| {
            let applied = edits.iter().map(|edit| rows.apply(edit, now)).collect();
            let claimed = claims.iter().map(|request| rows.claim(request, now)).collect();
            Ok(Exchanged::new(applied, claimed))
        })
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, _now: Timestamp) -> Result<()> {
        self.write(|rows| rows.open_session(info, until))
    }

    async fn renew(&self, session: SessionId, until: Timestamp, _now: Timestamp) -> Result<Renewed> {
        self.write(|rows| Ok(rows.renew(session, until)))
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.write(|rows| {
            rows.close_session(session);
            Ok(())
        })
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        Ok(self.state().rows.session_list())
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        check::expired(request)?;
        self.write(|rows| Ok(rows.expired(request, now)))
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        Ok(self.state().rows.detail(id).cloned())
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        check::page(page)?;
        Ok(self.state().rows.list(filter, page))
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        Ok(self.state().rows.count(scope))
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        check::purge(limit)?;
        self.write(|rows| Ok(rows.purge(now, limit)))
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        self.write(|rows| {
            rows.set_queue(queue, setting);
            Ok(())
        })
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        Ok(self.state().rows.queues())
    }

    async fn time(&self) -> Result<Timestamp> {
        Ok(self.shared.clock.now())
    }

    /// The file has one form.
    async fn migrate(&self) -> Result<()> {
        Ok(())
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.shared.waker.watch(queues)
    }

    fn durability(&self) -> Durability {
        Durability::Synced
    }
}

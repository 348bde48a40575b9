//! Faults that show only when calls overlap: what is looked at is not what is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use retry_core::id::TaskId;
use retry_core::limits::MAX_PAGE;
use retry_core::machine;
use retry_core::name::Queue;
use retry_core::store::{
    Cause, ClaimRequest, Claimed, Exchanged, Expired, ExpiredRequest, Inserted, Page, Result, StoreError,
    StoreErrorKind, TaskFilter, TaskStore as _, Waker, Wakeups,
};
use retry_core::task::{ClaimedTask, Edit, NewTask, State, Task, TaskDetail};
use retry_core::time::Timestamp;
use tokio::task::yield_now;

use super::base::Base;
use super::broken::Fault;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often a mutant steps aside between its look and its claim.
const GAP: usize = 200;

/// Looks which tasks are pending, then claims, and gives also those that another caller took in between.
#[derive(Debug, Default)]
pub(super) struct NoRecheck;

#[async_trait]
impl Fault for NoRecheck {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        let applied = store.exchange(edits, &[], now).await?.applied;
        let mut claimed = Vec::new();
        for claim in claims {
            let seen = pending(store).await?;
            // Long enough for others to come in between on any machine.
            for _ in 0..GAP {
                yield_now().await;
            }
            let mut given = store
                .exchange(&[], std::slice::from_ref(claim), now)
                .await?
                .claimed
                .remove(0);
            let asked = claim.kinds.len() == 1 && claim.ids.is_none() && claim.not_before.is_none();
            for id in seen {
                let Some(detail) = store.get(id).await.ok().flatten() else {
                    continue;
                };
                let other = detail
                    .task
                    .session
                    .is_some_and(|session| session != claim.session);
                let fits = detail.task.queue == claim.queue && detail.task.kind == claim.kinds[0].0;
                if asked
                    && other
                    && fits
                    && !given.session_lost
                    && given.tasks.len() < claim.limit.min(claim.kinds[0].1)
                {
                    given.tasks.push(twice(detail, claim, now));
                }
            }
            claimed.push(given);
        }
        Ok(Exchanged::new(applied, claimed))
    }
}

async fn pending(store: &Base) -> Result<Vec<TaskId>> {
    let filter = TaskFilter {
        states: vec![State::Pending],
        ..TaskFilter::default()
    };
    let listed = store.list(&filter, &Page::first(MAX_PAGE)).await?;
    Ok(listed.tasks.into_iter().map(|row| row.task.id).collect())
}

fn twice(detail: TaskDetail, claim: &ClaimRequest, now: Timestamp) -> ClaimedTask {
    ClaimedTask {
        task: machine::claim(&detail.task, claim.session, now),
        payload: detail.payload,
        headers: detail.headers,
        checkpoint: detail.checkpoint,
        completion: detail.completion,
    }
}

/// Looks which sessions there are, and later who holds tasks: a session that opened and claimed in between seems to be missing.
#[derive(Debug, Default)]
pub(super) struct SessionsFirst;

#[async_trait]
impl Fault for SessionsFirst {
    async fn expired(&self, store: &Base, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        let sessions = store.sessions().await?;
        let seen: BTreeSet<_> = sessions.into_iter().map(|session| session.info.id).collect();
        for _ in 0..20 {
            yield_now().await;
        }
        let filter = TaskFilter {
            states: vec![State::Running],
            ..TaskFilter::default()
        };
        let running = store.list(&filter, &Page::first(MAX_PAGE)).await?.tasks;
        let mut expired = store.expired(request, now).await?;
        let is_missing = |task: &Task| task.session.is_some_and(|session| !seen.contains(&session));
        let missing = running.into_iter().map(|row| row.task).filter(is_missing);
        expired
            .items
            .extend(missing.map(|task| (task, Cause::SessionLost)));
        Ok(expired)
    }
}

/// Moves a task in two steps: between them it is nowhere.
#[derive(Debug, Default)]
pub(super) struct TwoSteps {
    moving: Mutex<BTreeSet<TaskId>>,
}

#[async_trait]
impl Fault for TwoSteps {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        lock(&self.moving).extend(edits.iter().map(|edit| edit.id));
        yield_now().await;
        let answer = store.exchange(edits, claims, now).await;
        yield_now().await;
        for edit in edits {
            lock(&self.moving).remove(&edit.id);
        }
        answer
    }

    async fn get(&self, store: &Base, id: TaskId) -> Result<Option<TaskDetail>> {
        if lock(&self.moving).contains(&id) {
            return Ok(None);
        }
        store.get(id).await
    }
}

/// One claim locks the whole queue: another one beside it finds nothing.
#[derive(Debug, Default)]
pub(super) struct LocksAll {
    busy: AtomicBool,
}

#[async_trait]
impl Fault for LocksAll {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        if claims.is_empty() {
            return store.exchange(edits, claims, now).await;
        }
        if self.busy.swap(true, Ordering::SeqCst) {
            let applied = store.exchange(edits, &[], now).await?.applied;
            let mut nothing = Claimed::default();
            nothing.next_due = Some(now);
            return Ok(Exchanged::new(applied, vec![nothing; claims.len()]));
        }
        yield_now().await;
        let answer = store.exchange(edits, claims, now).await;
        yield_now().await;
        self.busy.store(false, Ordering::SeqCst);
        answer
    }
}

/// Writes the tasks of an insert one after the other.
#[derive(Debug, Default)]
pub(super) struct OneByOne;

#[async_trait]
impl Fault for OneByOne {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let mut answers = Vec::new();
        for task in tasks {
            answers.extend(store.insert(std::slice::from_ref(task), now).await?);
            yield_now().await;
        }
        Ok(answers)
    }
}

/// Keeps what it has read until it writes itself: what another handle writes is not seen.
#[derive(Debug, Default)]
pub(super) struct Caches {
    read: Mutex<BTreeMap<TaskId, TaskDetail>>,
}

#[async_trait]
impl Fault for Caches {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        lock(&self.read).clear();
        store.exchange(edits, claims, now).await
    }

    async fn get(&self, store: &Base, id: TaskId) -> Result<Option<TaskDetail>> {
        if let Some(known) = lock(&self.read).get(&id) {
            return Ok(Some(known.clone()));
        }
        let found = store.get(id).await?;
        lock(&self.read).extend(found.clone().map(|found| (id, found)));
        Ok(found)
    }
}

/// Hints before the write is visible.
#[derive(Debug, Default)]
pub(super) struct HintsFirst {
    waker: Waker,
}

#[async_trait]
impl Fault for HintsFirst {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        tasks.iter().for_each(|task| self.waker.wake(&task.queue));
        for _ in 0..20 {
            yield_now().await;
        }
        store.insert(tasks, now).await
    }

    fn watch(&self, _store: &Base, queues: &[Queue]) -> Wakeups {
        self.waker.watch(queues)
    }
}

/// Hints at inserts only.
#[derive(Debug, Default)]
pub(super) struct HintsAtInserts {
    waker: Waker,
}

#[async_trait]
impl Fault for HintsAtInserts {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        let answers = store.insert(tasks, now).await?;
        tasks.iter().for_each(|task| self.waker.wake(&task.queue));
        Ok(answers)
    }

    fn watch(&self, _store: &Base, queues: &[Queue]) -> Wakeups {
        self.waker.watch(queues)
    }
}

/// A call that is dropped keeps the connection's transaction open; whoever gets it next is refused.
#[derive(Debug, Default)]
pub(super) struct PoisonsPool {
    open: AtomicBool,
}

#[async_trait]
impl Fault for PoisonsPool {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        if self.open.swap(true, Ordering::SeqCst) {
            return Err(StoreError::rejected(
                StoreErrorKind::Other,
                "in a transaction already",
            ));
        }
        yield_now().await;
        self.open.store(false, Ordering::SeqCst);
        store.insert(tasks, now).await
    }
}

/// Answers "busy" now and then, and keeps what it wrote.
#[derive(Debug, Default)]
pub(super) struct BusyButWritten {
    calls: AtomicUsize,
}

#[async_trait]
impl Fault for BusyButWritten {
    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        let answer = store.exchange(edits, claims, now).await?;
        if self.calls.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
            return Err(StoreError::rejected(StoreErrorKind::Busy, "the commit failed"));
        }
        Ok(answer)
    }
}

/// No fault: the others get their turn before and after each write.
#[derive(Debug, Default)]
pub(super) struct Slow;

#[async_trait]
impl Fault for Slow {
    async fn insert(&self, store: &Base, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        yield_now().await;
        let answer = store.insert(tasks, now).await;
        yield_now().await;
        answer
    }

    async fn exchange(
        &self,
        store: &Base,
        edits: &[Edit],
        claims: &[ClaimRequest],
        now: Timestamp,
    ) -> Result<Exchanged> {
        yield_now().await;
        let answer = store.exchange(edits, claims, now).await;
        yield_now().await;
        answer
    }

    async fn get(&self, store: &Base, id: TaskId) -> Result<Option<TaskDetail>> {
        yield_now().await;
        let found = store.get(id).await;
        yield_now().await;
        found
    }
}

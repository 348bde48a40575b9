//! What all callers were answered, written down as it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use retry_core::id::{SessionId, Shard, TaskId, TaskIds};
use retry_core::store::StoreError;
use retry_core::time::Timestamp;
use tokio::sync::watch;

use super::account::{Account, Failed};

/// Shared by the callers of a crowd.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    book: Mutex<Book>,
    progress: watch::Sender<Progress>,
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
struct Progress {
    /// Calls that were answered.
    calls: u64,
    /// Callers that have not ended.
    present: usize,
}

/// A caller, as long as it is there.
pub(super) struct Presence(Arc<Ledger>);

impl Presence {
    pub(super) fn new(ledger: &Arc<Ledger>) -> Self {
        ledger.progress.send_modify(|progress| progress.present += 1);
        Self(Arc::clone(ledger))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.progress.send_modify(|progress| progress.present -= 1);
    }
}

#[derive(Debug, Default)]
struct Book {
    ids: TaskIds,
    /// Those that were answered for, with the version that was settled.
    tasks: BTreeMap<TaskId, Option<u64>>,
    claims: BTreeSet<(TaskId, u64)>,
    doubtful: BTreeSet<SessionId>,
    failed: Vec<Failed>,
    slowest: Duration,
}

impl Ledger {
    pub(super) fn id(&self, now: Timestamp, shard: Shard, random: u64) -> TaskId {
        self.book().ids.next(now, shard, random)
    }

    /// A call was answered after `took`.
    pub(super) fn note_answer(&self, took: Duration) {
        self.note_slow(took);
        self.progress.send_modify(|progress| progress.calls += 1);
    }

    pub(super) fn note_failure(&self, error: &StoreError, took: Duration) {
        self.note_slow(took);
        let book = &mut *self.book();
        let first = Failed::first(error);
        let alike = |failed: &&mut Failed| failed.is_like(&first);
        match book.failed.iter_mut().find(alike) {
            Some(failed) => failed.times += 1,
            None => book.failed.push(first),
        }
    }

    fn note_slow(&self, took: Duration) {
        let mut book = self.book();
        book.slowest = book.slowest.max(took);
    }

    pub(super) fn note_inserted(&self, id: TaskId) {
        self.book().tasks.entry(id).or_default();
    }

    /// Whether nobody has this version of the task yet.
    pub(super) fn note_claimed(&self, id: TaskId, version: u64) -> bool {
        self.book().claims.insert((id, version))
    }

    pub(super) fn note_settled(&self, id: TaskId, version: u64) {
        self.book().tasks.insert(id, Some(version));
    }

    /// The session may hold tasks that nobody was told of.
    pub(super) fn note_doubtful(&self, session: SessionId) {
        self.book().doubtful.insert(session);
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    pub(super) async fn answered(&self, more: u64) {
        let mut progress = self.progress.subscribe();
        let wanted = progress.borrow().calls + more;
        let is_there = |progress: &Progress| progress.calls >= wanted || progress.present == 0;
        // The sender is this ledger's own, so that it cannot be gone.
        let _ = progress.wait_for(is_there).await;
    }

    pub(super) fn account(&self) -> Account {
        let book = self.book();
        Account {
            calls: self.progress.borrow().calls,
            tasks: book.tasks.clone(),
            claims: book.claims.clone(),
            doubtful: book.doubtful.clone(),
            failed: book.failed.clone(),
            slowest: book.slowest,
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

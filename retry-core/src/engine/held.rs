//! The tasks this worker holds in the store: buffered, running, or on their way to being settled.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::kind::OnLeaseLost;
use super::part::lock;
use crate::id::TaskId;

/// Why an attempt was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelReason {
    /// An operator asked for it.
    Operator,
    /// The worker lost its lease, or the task.
    LeaseLost,
    /// The worker shuts down.
    Shutdown,
    /// The attempt took too long.
    Timeout,
}

/// The switch that ends a running attempt; the first reason counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Cancel {
    token: CancellationToken,
    reason: Arc<Mutex<Option<CancelReason>>>,
}

impl Cancel {
    pub(super) fn cancel(&self, reason: CancelReason) {
        lock(&self.reason).get_or_insert(reason);
        self.token.cancel();
    }

    pub(super) fn reason(&self) -> Option<CancelReason> {
        *lock(&self.reason)
    }

    pub(super) const fn token(&self) -> &CancellationToken {
        &self.token
    }
}

#[derive(Debug)]
struct Entry {
    /// Present while its handler runs.
    running: Option<(Cancel, OnLeaseLost)>,
}

#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<TaskId, Entry>>);

impl Held {
    /// Notes a task that was claimed.
    pub(super) fn insert(&self, id: TaskId) {
        lock(&self.0).insert(id, Entry { running: None });
    }

    /// Notes that its handler starts.
    pub(super) fn start(&self, id: TaskId, cancel: Cancel, on_lease_lost: OnLeaseLost) {
        lock(&self.0).insert(
            id,
            Entry {
                running: Some((cancel, on_lease_lost)),
            },
        );
    }

    /// Notes that its handler has ended.
    pub(super) fn end(&self, id: TaskId) {
        if let Some(entry) = lock(&self.0).get_mut(&id) {
            entry.running = None;
        }
    }

    /// Notes that the store has its outcome, or that it is not ours any more.
    pub(super) fn remove(&self, id: TaskId) {
        lock(&self.0).remove(&id);
    }

    pub(super) fn contains(&self, id: TaskId) -> bool {
        lock(&self.0).contains_key(&id)
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    /// Cancels the handler of a task.
    pub(super) fn cancel(&self, id: TaskId, reason: CancelReason) {
        if let Some((cancel, _)) = lock(&self.0).get(&id).and_then(|entry| entry.running.as_ref()) {
            cancel.cancel(reason);
        }
    }

    /// Cancels every running handler.
    pub(super) fn cancel_all(&self, reason: CancelReason) {
        for (cancel, _) in lock(&self.0).values().filter_map(|entry| entry.running.as_ref()) {
            cancel.cancel(reason);
        }
    }

    /// Cancels the handlers that do not go on without a lease.
    pub(super) fn cancel_by_lease(&self) {
        for (cancel, action) in lock(&self.0).values().filter_map(|entry| entry.running.as_ref()) {
            if *action == OnLeaseLost::Cancel {
                cancel.cancel(CancelReason::LeaseLost);
            }
        }
    }

    /// All of them.
    pub(super) fn ids(&self) -> HashSet<TaskId> {
        lock(&self.0).keys().copied().collect()
    }

    /// Cancels the running handlers of those tasks of `known` that are not `ours` any more.
    pub(super) fn cancel_others(&self, known: &HashSet<TaskId>, ours: &HashSet<TaskId>) {
        for (id, entry) in &*lock(&self.0) {
            if let (true, false, Some((cancel, _))) = (known.contains(id), ours.contains(id), &entry.running)
            {
                cancel.cancel(CancelReason::LeaseLost);
            }
        }
    }

    /// Whether a handler runs.
    pub(super) fn any_running(&self) -> bool {
        lock(&self.0).values().any(|entry| entry.running.is_some())
    }
}

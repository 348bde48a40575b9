//! Wake-ups: hints that a queue may have new due tasks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::future::select_all;
use tokio::sync::Notify;

use crate::name::Queue;

/// Where hints arrive. A hint may be lost or doubled, but never comes before the write it tells of is visible.
#[derive(Debug, Clone)]
pub struct Wakeups {
    /// At least one; a hint of any counts.
    from: Arc<[Arc<Notify>]>,
}

impl Wakeups {
    /// Hints that never come: the engine polls.
    #[must_use]
    pub fn never() -> Self {
        Self::of(Arc::new(Notify::new()))
    }

    fn of(notify: Arc<Notify>) -> Self {
        Self {
            from: Arc::new([notify]),
        }
    }

    /// The hints of all of these.
    #[must_use]
    pub fn any(all: impl IntoIterator<Item = Self>) -> Self {
        let all = all.into_iter().flat_map(|wakeups| wakeups.from.to_vec());
        let from: Arc<[_]> = all.collect();
        match from.is_empty() {
            true => Self::never(),
            false => Self { from },
        }
    }

    /// Waits for the next hint. Hints that came since the last call count as one. Cancel-safe: a dropped call loses
    /// none.
    pub async fn next(&self) {
        match &*self.from {
            [notify] => notify.notified().await,
            several => drop(select_all(several.iter().map(|notify| Box::pin(notify.notified()))).await),
        }
    }
}

/// The sending side, for authors of stores.
#[derive(Debug, Default)]
pub struct Waker {
    watchers: Mutex<HashMap<Queue, Vec<Weak<Notify>>>>,
}

impl Waker {
    /// Nobody watches yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hints for any of `queues`.
    #[must_use]
    pub fn watch(&self, queues: &[Queue]) -> Wakeups {
        let notify = Arc::new(Notify::new());
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        for queue in queues {
            let list = watchers.entry(queue.clone()).or_default();
            list.retain(|watcher| watcher.strong_count() > 0);
            list.push(Arc::downgrade(&notify));
        }
        Wakeups::of(notify)
    }

    /// Wakes whoever watches `queue`.
    pub fn wake(&self, queue: &Queue) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        for watcher in watchers
            .get(queue)
            .into_iter()
            .flatten()
            .filter_map(Weak::upgrade)
        {
            watcher.notify_one();
        }
    }

    /// Wakes everybody.
    pub fn wake_all(&self) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        for watcher in watchers.values().flatten().filter_map(Weak::upgrade) {
            watcher.notify_one();
        }
    }

    /// Whether anybody watches.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers
            .values()
            .flatten()
            .any(|watcher| watcher.strong_count() > 0)
    }
}

//! A running relay.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use retry_core::engine::{Worker, WorkerHandle};

use super::Shared;
use crate::meters::Meters;
use crate::queue::SinkQueue;

/// What a relay has done so far, all its partitions and the messages without key together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Messages that the broker acknowledged.
    pub acked: u64,
    /// Attempts without acknowledgement, to be repeated.
    pub retried: u64,
    /// Messages that the broker refused for good.
    pub refused: u64,
}

#[derive(Debug)]
pub(super) struct Counters {
    acked: AtomicU64,
    retried: AtomicU64,
    refused: AtomicU64,
    pub(super) meters: Meters,
}

impl Counters {
    pub(super) fn of(queue: &SinkQueue) -> Self {
        Self {
            acked: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            meters: Meters::new(queue.name()),
        }
    }

    /// A message was acknowledged; of which topic, by the name that it was enqueued with. So are the others.
    pub(super) fn acked(&self, topic: &str) {
        self.acked.fetch_add(1, Ordering::Relaxed);
        self.meters.published(topic);
    }

    pub(super) fn retried(&self, topic: &str) {
        self.retried.fetch_add(1, Ordering::Relaxed);
        self.meters.retried(topic);
    }

    pub(super) fn refused(&self, topic: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.meters.refused(topic);
    }
}

/// A running relay.
#[derive(Debug)]
#[must_use = "a dropped handle stops the relay"]
pub struct RelayHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) running: Arc<Running>,
}

/// The workers of a relay, one for each part of the store that is served.
#[derive(Debug)]
pub(super) struct Running(Mutex<Workers>);

#[derive(Debug)]
struct Workers {
    handles: Vec<WorkerHandle>,
    /// Parts that have not answered yet.
    missing: BTreeSet<usize>,
    /// No further one is to be started.
    stopped: bool,
}

impl Running {
    /// None of this many parts is served yet.
    pub(super) fn missing(parts: usize) -> Self {
        Self(Mutex::new(Workers {
            handles: Vec::new(),
            missing: (0..parts).collect(),
            stopped: false,
        }))
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn missing_parts(&self) -> BTreeSet<usize> {
        self.workers().missing.clone()
    }

    /// Serves a part from now on, unless the relay has stopped.
    pub(super) fn start(&self, part: usize, worker: &Worker) {
        let mut workers = self.workers();
        if !workers.stopped && workers.missing.remove(&part) {
            workers.handles.push(worker.start());
        }
    }

    fn stop(&self) -> Vec<WorkerHandle> {
        let mut workers = self.workers();
        workers.stopped = true;
        std::mem::take(&mut workers.handles)
    }
}

impl RelayHandle {
    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let counts = &self.shared.counts;
        Counts {
            acked: counts.acked.load(Ordering::Relaxed),
            retried: counts.retried.load(Ordering::Relaxed),
            refused: counts.refused.load(Ordering::Relaxed),
        }
    }

    /// The parts of the store, by number, that are not served because they have not answered since the start, or have another number
    /// of partitions, which the log says. Messages wait there. Empty as soon as all are served; how a part fares
    /// afterwards, its worker tells.
    #[must_use]
    pub fn missing_parts(&self) -> Vec<usize> {
        self.running.missing_parts().into_iter().collect()
    }

    /// Stops gracefully: nothing more is sent; what is at the broker gets its answer, within the time a call of the sink may
    /// take; everything is settled or back in its place, and the partitions are free for others.
    ///
    /// If this future is dropped, the relay stops as it would by a crash: what it held is back when its leases end, or as
    /// soon as another relay takes its partitions over.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        let workers = self.running.stop();
        join_all(workers.into_iter().map(WorkerHandle::shutdown)).await;
    }
}

impl Drop for RelayHandle {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        drop(self.running.stop());
    }
}

//! The world of a kit: processes that run the worker, one store, one clock, and what moves them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{Either, select};

use super::clock::KitClock;
use super::desk::{Desk, Order};
use super::exec::{Exec, Process, lock};
use crate::clock::{Clock as _, Monotonic, SystemClock};
use crate::engine::{Worker, WorkerHandle};
use crate::seams::Spawn as _;
use crate::store::MemoryStore;

/// How far one drive goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Moves of the clock.
    pub(super) steps: u64,
    /// Simulated time.
    pub(super) time: Duration,
    /// Real time for which a handler may wait for something outside before the clock goes on.
    pub(super) patience: Duration,
}

/// Why a drive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// Nothing is left that could go on by itself.
    Idle,
    /// The clock was moved as often as is allowed, see [`TestKit::max_steps`](super::TestKit::max_steps).
    StepLimit,
    /// As much simulated time has passed as is allowed, see [`TestKit::max_time`](super::TestKit::max_time).
    TimeLimit,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) exec: Exec,
    pub(super) desk: Arc<Desk>,
    pub(super) clock: KitClock,
    pub(super) memory: MemoryStore,
    processes: Mutex<Processes>,
}

#[derive(Debug, Default)]
struct Processes {
    last: Process,
    handles: BTreeMap<Process, WorkerHandle>,
    stalled: Vec<Process>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let (exec, clock) = (Exec::new(seed), KitClock::new());
        Self {
            desk: Desk::new(exec.clone(), clock.clone()),
            memory: MemoryStore::with_clock(Arc::new(clock.clone())),
            exec,
            clock,
            processes: Mutex::default(),
        }
    }

    fn start(&self, worker: &Worker) {
        let mut processes = lock(&self.processes);
        processes.last += 1;
        let process = processes.last;
        let handle = self.exec.within(process, || worker.start());
        processes.handles.insert(process, handle);
    }

    /// Ends a process without a word to the store.
    fn kill(&self, process: Process) {
        self.exec.kill(process);
        let mut processes = lock(&self.processes);
        processes.stalled.retain(|stalled| *stalled != process);
        let handle = processes.handles.remove(&process);
        drop(processes);
        drop(handle);
    }

    /// Kills every process.
    pub(super) fn kill_all(&self) {
        let all: Vec<Process> = lock(&self.processes).handles.keys().copied().collect();
        all.into_iter().for_each(|process| self.kill(process));
    }

    fn obey(&self, order: Order, worker: &Worker) {
        match order {
            Order::Crash(process) => self.kill(process),
            Order::Stall(process) => {
                self.exec.set_paused(process, true);
                lock(&self.processes).stalled.push(process);
            }
        }
        self.start(worker);
    }

    /// Lets the process that stood still first go on; false when none does.
    fn resume_one(&self) -> bool {
        let mut processes = lock(&self.processes);
        if processes.stalled.is_empty() {
            return false;
        }
        self.exec.set_paused(processes.stalled.remove(0), false);
        true
    }

    /// Whether a process stands still.
    pub(super) fn anyone_stands_still(&self) -> bool {
        !lock(&self.processes).stalled.is_empty()
    }

    /// Stops every process gracefully; answers how many. Each counts in `ended` when it has stopped, or died on the way.
    /// The drive that follows sees it to the end.
    pub(super) fn begin_shutdown(&self, ended: &Arc<Mutex<usize>>) -> usize {
        while self.resume_one() {}
        let handles = std::mem::take(&mut lock(&self.processes).handles);
        let count = handles.len();
        for (process, handle) in handles {
            let counts = Counts(Arc::clone(ended));
            let stop = async move {
                handle.shutdown().await;
                drop(counts);
            };
            self.exec.within(process, || self.exec.spawn(Box::pin(stop)));
        }
        count
    }

    /// Starts a process if none runs.
    pub(super) fn ensure_started(&self, worker: &Worker) {
        let none = lock(&self.processes).handles.is_empty();
        if none {
            self.start(worker);
        }
    }

    /// Runs everything that is ready, then moves the clock to the next sleeper, again and again until `done` or `until`.
    /// `done` is asked only when nothing is ready and no handler runs.
    pub(super) async fn drive(
        &self,
        worker: &Worker,
        limits: Limits,
        until: Option<Monotonic>,
        done: impl FnMut() -> bool + Send,
    ) -> Stopped {
        // Without a budget: a handler that is told to yield for fairness would be seen to wait.
        tokio::task::unconstrained(self.drive_on(worker, limits, until, done)).await
    }

    async fn drive_on(
        &self,
        worker: &Worker,
        limits: Limits,
        until: Option<Monotonic>,
        mut done: impl FnMut() -> bool + Send,
    ) -> Stopped {
        let last = until.unwrap_or_else(|| self.clock.monotonic() + limits.time);
        let mut steps = 0;
        loop {
            self.run_ready(worker);
            // The runtime's turn: wakers that it deferred, sockets, other threads.
            tokio::task::yield_now().await;
            if self.exec.has_ready() {
                continue;
            }
            if self.desk.waits_outside() {
                self.wait_outside(limits.patience).await;
                continue;
            }
            if !self.desk.anything_runs() && done() {
                if self.resume_one() {
                    continue;
                }
                if until.is_none() {
                    return Stopped::Idle;
                }
            }
            let now = self.clock.monotonic();
            let next = self.clock.manual.next_deadline().unwrap_or(Monotonic::NEVER);
            if next > last {
                self.clock.manual.advance(last.saturating_since(now));
                return if until.is_some() {
                    Stopped::Idle
                } else {
                    Stopped::TimeLimit
                };
            }
            if steps == limits.steps {
                return Stopped::StepLimit;
            }
            steps += 1;
            self.clock.manual.advance(next.saturating_since(now));
        }
    }

    fn run_ready(&self, worker: &Worker) {
        while self.exec.turn() {
            if let Some(order) = self.desk.take_order() {
                self.obey(order, worker);
            }
        }
    }

    /// Waits, in real time, for something that is not the kit's.
    async fn wait_outside(&self, patience: Duration) {
        let clock = SystemClock::new();
        let over = clock.sleep_until(clock.monotonic() + patience);
        if let Either::Right(_) = select(std::pin::pin!(self.exec.woken()), over).await {
            self.desk.lose_patience();
        }
    }
}

/// Counts when it is dropped.
struct Counts(Arc<Mutex<usize>>);

impl Drop for Counts {
    fn drop(&mut self) {
        *lock(&self.0) += 1;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The futures hold the executor that holds them.
        self.exec.clear();
    }
}

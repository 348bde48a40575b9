//! A single-threaded executor of futures that belong to processes, so that a process can be killed or stood still
//! between any two polls. The seed picks which ready future runs next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;

use crate::seams::{Random as _, SeededRandom, Spawn};

/// A simulated process: one worker and all that it runs.
pub(super) type Process = usize;

/// The process in which nothing runs: that of the test.
const NONE: Process = 0;

#[derive(Clone)]
pub(super) struct Exec(Arc<Mutex<Inner>>);

struct Inner {
    live: BTreeMap<u64, Slot>,
    next: u64,
    ready: BTreeSet<u64>,
    woken: Arc<Woken>,
    /// Stands still: none of its futures is polled.
    paused: BTreeSet<Process>,
    /// Whose future is being polled, or whose worker is being started.
    current: Process,
    random: SeededRandom,
}

struct Slot {
    process: Process,
    /// Absent while it is being polled.
    future: Option<BoxFuture<'static, ()>>,
    waker: Waker,
}

/// Futures that were woken since the last look, and who is told of it.
#[derive(Default)]
struct Woken {
    ids: Mutex<BTreeSet<u64>>,
    driver: AtomicWaker,
}

struct Note {
    id: u64,
    woken: Arc<Woken>,
}

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        lock(&self.woken.ids).insert(self.id);
        self.woken.driver.wake();
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exec({} futures)", lock(&self.0).live.len())
    }
}

impl Exec {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            live: BTreeMap::new(),
            next: 0,
            ready: BTreeSet::new(),
            woken: Arc::default(),
            paused: BTreeSet::new(),
            current: NONE,
            random: SeededRandom::new(seed),
        })))
    }

    /// Polls one ready future; false when none is.
    pub(super) fn turn(&self) -> bool {
        let Some((id, mut future, waker)) = lock(&self.0).take() else {
            return false;
        };
        // Outside the lock: a future may spawn others, and what it owns may do anything when it is dropped.
        let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
        let mut inner = lock(&self.0);
        inner.current = NONE;
        match polled {
            Poll::Ready(()) => {
                inner.live.remove(&id);
            }
            Poll::Pending => {
                debug_assert!(
                    inner.live.contains_key(&id),
                    "nobody is killed while it is polled"
                );
                if let Some(slot) = inner.live.get_mut(&id) {
                    slot.future = Some(future);
                }
            }
        }
        true
    }

    /// Whether a future could be polled now.
    pub(super) fn has_ready(&self) -> bool {
        lock(&self.0).runnable().next().is_some()
    }

    /// Waits until one of the futures is woken. Cancel-safe.
    pub(super) async fn woken(&self) {
        std::future::poll_fn(|context| {
            let inner = lock(&self.0);
            inner.woken.driver.register(context.waker());
            drop(inner);
            if self.has_ready() {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }

    /// Whose future is being polled.
    pub(super) fn current(&self) -> Process {
        lock(&self.0).current
    }

    /// Runs `start` as the process: what it spawns belongs to it.
    pub(super) fn within<T>(&self, process: Process, start: impl FnOnce() -> T) -> T {
        let before = std::mem::replace(&mut lock(&self.0).current, process);
        let started = start();
        lock(&self.0).current = before;
        started
    }

    /// Drops all futures of a process, as its death does.
    pub(super) fn kill(&self, process: Process) {
        let dead: Vec<Slot> = {
            let mut inner = lock(&self.0);
            let of_it = |(id, slot): (&u64, &Slot)| (slot.process == process).then_some(*id);
            let ids: Vec<u64> = inner.live.iter().filter_map(of_it).collect();
            ids.iter().filter_map(|id| inner.live.remove(id)).collect()
        };
        drop(dead);
    }

    /// Drops everything.
    pub(super) fn clear(&self) {
        let dead = std::mem::take(&mut lock(&self.0).live);
        drop(dead);
    }

    /// Stops or goes on polling the futures of a process.
    pub(super) fn set_paused(&self, process: Process, paused: bool) {
        let mut inner = lock(&self.0);
        if paused {
            inner.paused.insert(process);
        } else {
            inner.paused.remove(&process);
        }
    }

    pub(super) fn is_paused(&self, process: Process) -> bool {
        lock(&self.0).paused.contains(&process)
    }
}

type Taken = (u64, BoxFuture<'static, ()>, Waker);

impl Inner {
    fn runnable(&mut self) -> impl Iterator<Item = u64> {
        let mut woken = std::mem::take(&mut *lock(&self.woken.ids));
        self.ready.append(&mut woken);
        let (live, paused) = (&self.live, &self.paused);
        self.ready.retain(|id| live.contains_key(id));
        let may_run = |id: &&u64| live.get(id).is_some_and(|slot| !paused.contains(&slot.process));
        self.ready.iter().filter(may_run).copied()
    }

    fn take(&mut self) -> Option<Taken> {
        let runnable: Vec<u64> = self.runnable().collect();
        let drawn = usize::try_from(self.random.next_u64() >> 32).unwrap_or(0);
        let picked = *runnable.get(drawn.checked_rem(runnable.len())?)?;
        self.ready.remove(&picked);
        let slot = self.live.get_mut(&picked)?;
        self.current = slot.process;
        Some((picked, slot.future.take()?, slot.waker.clone()))
    }
}

impl Spawn for Exec {
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        let mut inner = lock(&self.0);
        let id = inner.next;
        inner.next += 1;
        let woken = Arc::clone(&inner.woken);
        let waker = Waker::from(Arc::new(Note { id, woken }));
        let process = inner.current;
        inner.ready.insert(id);
        let future = Some(future);
        inner.live.insert(
            id,
            Slot {
                process,
                future,
                waker,
            },
        );
        inner.woken.driver.wake();
    }
}

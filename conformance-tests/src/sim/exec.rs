//! A single-threaded executor of futures that belong to hosts. The seed picks which ready future runs next, so every
//! legal order of polls can happen and none depends on a scheduler.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;
use retry_core::seams::Spawn;

use super::rng::Rng;

/// A machine of the simulated world: a worker's, a client's, or the network.
pub(super) type HostId = usize;

#[derive(Clone)]
pub(super) struct Exec(Arc<Mutex<Inner>>);

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exec({} futures)", self.lock().live.len())
    }
}

struct Inner {
    live: BTreeMap<usize, Slot>,
    next: usize,
    /// Sorted, so that the order of wakes within one poll does not matter.
    ready: Vec<usize>,
    woken: Arc<Mutex<Vec<usize>>>,
    hosts: Vec<Host>,
    rng: Rng,
    by_rank: bool,
}

#[derive(Debug, Default, Clone)]
struct Host {
    paused: bool,
    futures: usize,
}

struct Slot {
    host: HostId,
    /// Absent while it is being polled.
    future: Option<BoxFuture<'static, ()>>,
    waker: Waker,
    note: Arc<Note>,
    /// Under the order by rank the highest runs first.
    rank: u64,
}

struct Note {
    id: usize,
    woken: Arc<Mutex<Vec<usize>>>,
    queued: AtomicBool,
}

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.woken).push(self.id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one turn did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// A future of this host was polled.
    Polled(HostId),
    /// Nothing is ready.
    Idle,
    /// A future of this host panicked, which no code of the engine may.
    Panicked(HostId, String),
}

impl Exec {
    /// An executor for `hosts` hosts. `by_rank` runs the future with the highest random rank first and changes ranks
    /// now and then, which starves some of them for long; else each pick is uniform.
    pub(super) fn new(hosts: usize, rng: Rng, by_rank: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            live: BTreeMap::new(),
            next: 0,
            ready: Vec::new(),
            woken: Arc::default(),
            hosts: vec![Host::default(); hosts],
            rng,
            by_rank,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0)
    }

    pub(super) fn spawn(&self, host: HostId, future: BoxFuture<'static, ()>) {
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        let note = Arc::new(Note {
            id,
            woken: Arc::clone(&inner.woken),
            queued: AtomicBool::new(true),
        });
        let rank = if inner.by_rank { inner.rng.next() } else { 0 };
        let waker = Waker::from(Arc::clone(&note));
        inner.hosts[host].futures += 1;
        inner.live.insert(
            id,
            Slot {
                host,
                future: Some(future),
                waker,
                note,
                rank,
            },
        );
        lock(&inner.woken).push(id);
    }

    /// Futures of a host that have not ended.
    pub(super) fn futures_of(&self, host: HostId) -> usize {
        self.lock().hosts[host].futures
    }

    /// Stops or goes on polling a host's futures.
    pub(super) fn set_paused(&self, host: HostId, paused: bool) {
        self.lock().hosts[host].paused = paused;
    }

    /// Drops all futures of a host, as the end of its process does.
    pub(super) fn kill(&self, host: HostId) {
        let dead: Vec<Slot> = {
            let mut inner = self.lock();
            let ids: Vec<usize> = inner
                .live
                .iter()
                .filter(|(_, slot)| slot.host == host)
                .map(|(id, _)| *id)
                .collect();
            inner.hosts[host].futures = 0;
            ids.iter().filter_map(|id| inner.live.remove(id)).collect()
        };
        // Outside the lock: what a future owns may wake others, or note its end.
        drop(dead);
    }

    /// Drops everything.
    pub(super) fn clear(&self) {
        let dead = std::mem::take(&mut self.lock().live);
        drop(dead);
    }

    /// Polls one ready future.
    pub(super) fn turn(&self) -> Turn {
        let Some((id, host, mut future, waker)) = self.lock().take() else {
            return Turn::Idle;
        };
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
            if poll.is_ready() {
                drop(future);
                return None;
            }
            Some(future)
        }));
        let mut inner = self.lock();
        match polled {
            Ok(Some(future)) => {
                if let Some(slot) = inner.live.get_mut(&id) {
                    slot.future = Some(future);
                }
                Turn::Polled(host)
            }
            Ok(None) => {
                inner.end(id);
                Turn::Polled(host)
            }
            Err(panic) => {
                inner.end(id);
                Turn::Panicked(host, message(panic.as_ref()))
            }
        }
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

type Taken = (usize, HostId, BoxFuture<'static, ()>, Waker);

impl Inner {
    fn take(&mut self) -> Option<Taken> {
        let woken = std::mem::take(&mut *lock(&self.woken));
        for id in woken {
            if let (true, Err(at)) = (self.live.contains_key(&id), self.ready.binary_search(&id)) {
                self.ready.insert(at, id);
            }
        }
        let (live, hosts) = (&self.live, &self.hosts);
        self.ready.retain(|id| live.contains_key(id));
        let may_run = |id: &usize| live.get(id).is_some_and(|slot| !hosts[slot.host].paused);
        let runnable: Vec<usize> = self.ready.iter().copied().filter(may_run).collect();
        if runnable.is_empty() {
            return None;
        }
        let picked = if self.by_rank {
            let highest = runnable
                .iter()
                .copied()
                .max_by_key(|id| live.get(id).map(|slot| slot.rank));
            highest.unwrap_or(runnable[0])
        } else {
            runnable[self.rng.index(runnable.len())]
        };
        self.ready.retain(|id| *id != picked);
        let new_rank = (self.by_rank && self.rng.chance(30)).then(|| self.rng.next());
        let slot = self.live.get_mut(&picked)?;
        slot.rank = new_rank.unwrap_or(slot.rank);
        slot.note.queued.store(false, Ordering::Relaxed);
        Some((picked, slot.host, slot.future.take()?, slot.waker.clone()))
    }

    fn end(&mut self, id: usize) {
        if let Some(slot) = self.live.remove(&id) {
            self.hosts[slot.host].futures -= 1;
        }
    }
}

/// Spawns onto one host.
#[derive(Debug, Clone)]
pub(super) struct HostSpawn {
    pub(super) exec: Exec,
    pub(super) host: HostId,
}

impl Spawn for HostSpawn {
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.exec.spawn(self.host, future);
    }
}

/// Ends after giving every other ready future a chance.
pub(super) async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

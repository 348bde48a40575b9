//! A single-threaded executor of futures that belong to hosts. The seed picks which ready future runs next; a host can be
//! paused, or killed between any two polls.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use futures_util::future::BoxFuture;
use retry_core::seams::{Random as _, SeededRandom, Spawn};

pub(crate) type Host = usize;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Slot {
    host: Host,
    /// Absent while it is polled.
    future: Option<BoxFuture<'static, ()>>,
    flag: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Inner {
    slots: BTreeMap<usize, Slot>,
    next: usize,
    paused: BTreeSet<Host>,
    starved: BTreeSet<usize>,
}

/// The executor. Clones share it.
#[derive(Clone)]
pub(crate) struct Exec {
    inner: Arc<Mutex<Inner>>,
    random: Arc<SeededRandom>,
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exec({} futures)", lock(&self.inner).slots.len())
    }
}

impl Exec {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            inner: Arc::default(),
            random: Arc::new(SeededRandom::new(seed)),
        }
    }

    pub(crate) fn spawn(&self, host: Host, future: BoxFuture<'static, ()>) {
        let mut inner = lock(&self.inner);
        let id = inner.next;
        inner.next += 1;
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let future = Some(future);
        inner.slots.insert(id, Slot { host, future, flag });
    }

    pub(crate) fn pause(&self, host: Host, paused: bool) {
        let mut inner = lock(&self.inner);
        match paused {
            true => inner.paused.insert(host),
            false => inner.paused.remove(&host),
        };
    }

    /// Stops polling one future of a host, whichever, while the others go on; or lets all go on.
    pub(crate) fn starve(&self, host: Host, starved: bool) {
        let mut inner = lock(&self.inner);
        let Inner {
            slots, starved: all, ..
        } = &mut *inner;
        let of_host = slots
            .iter()
            .filter(|(_, slot)| slot.host == host)
            .map(|(id, _)| *id);
        if starved {
            let of_host: Vec<usize> = of_host.collect();
            if !of_host.is_empty() {
                let at = usize::try_from(self.random.next_u64() % of_host.len() as u64).unwrap();
                all.insert(of_host[at]);
            }
        } else {
            of_host.for_each(|id| {
                all.remove(&id);
            });
        }
    }

    /// Drops everything that belongs to a host, as the end of its process does.
    pub(crate) fn kill(&self, host: Host) {
        let mut inner = lock(&self.inner);
        let dead: Vec<_> = inner.slots.extract_if(.., |_, slot| slot.host == host).collect();
        inner.paused.remove(&host);
        drop(inner);
        drop(dead);
    }

    /// Polls one ready future; false when none is.
    pub(crate) fn turn(&self) -> bool {
        let mut inner = lock(&self.inner);
        let Inner {
            slots,
            paused,
            starved,
            ..
        } = &mut *inner;
        let ready: Vec<usize> = slots
            .iter()
            .filter(|(_, slot)| slot.flag.0.load(Ordering::Relaxed))
            .filter(|(id, slot)| !paused.contains(&slot.host) && !starved.contains(id))
            .map(|(id, _)| *id)
            .collect();
        if ready.is_empty() {
            return false;
        }
        let at = usize::try_from(self.random.next_u64() % ready.len() as u64).unwrap();
        let id = ready[at];
        let slot = slots.get_mut(&id).unwrap();
        slot.flag.0.store(false, Ordering::Relaxed);
        let (mut future, waker) = (slot.future.take().unwrap(), Waker::from(Arc::clone(&slot.flag)));
        drop(inner);
        let over = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut inner = lock(&self.inner);
        if over {
            let ended = inner.slots.remove(&id);
            drop(inner);
            drop((ended, future));
        } else if let Some(slot) = inner.slots.get_mut(&id) {
            slot.future = Some(future);
        }
        true
    }
}

/// Spawns onto one host.
#[derive(Debug, Clone)]
pub(crate) struct OnHost(pub(crate) Exec, pub(crate) Host);

impl Spawn for OnHost {
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.0.spawn(self.1, future);
    }
}

/// Ends after giving every other ready future a chance.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

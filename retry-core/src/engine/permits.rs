//! Hard limits: how many attempts run at once in all, per queue and per kind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::part::Engine;
use crate::name::{Kind, Queue};

#[derive(Debug)]
pub(super) struct Permits {
    all: usize,
    queues: HashMap<Queue, usize>,
    kinds: HashMap<Kind, usize>,
    /// Other names of kinds, each with the kind's own.
    aliases: HashMap<Kind, Kind>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Of these, kept for tasks that are not known to be stored yet.
    reserved: usize,
    queues: HashMap<Queue, usize>,
    kinds: HashMap<Kind, usize>,
}

/// The right to run one attempt; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Arc<Permits>,
    queue: Queue,
    kind: Kind,
    reserved: bool,
}

impl Permits {
    pub(super) fn new(
        all: usize,
        queues: HashMap<Queue, usize>,
        kinds: HashMap<Kind, usize>,
        aliases: HashMap<Kind, Kind>,
    ) -> Arc<Self> {
        Arc::new(Self {
            all,
            queues,
            kinds,
            aliases,
            taken: Mutex::default(),
        })
    }

    /// The kind's own name: limits count all its names together.
    pub(super) fn own_name<'k>(&'k self, kind: &'k Kind) -> &'k Kind {
        self.aliases.get(kind).unwrap_or(kind)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a permit, unless a limit is reached.
    pub(super) fn take(self: &Arc<Self>, queue: &Queue, kind: &Kind) -> Option<Permit> {
        self.permit(queue, kind, false)
    }

    /// Takes a permit for a task that is about to be stored.
    pub(super) fn reserve(self: &Arc<Self>, queue: &Queue, kind: &Kind) -> Option<Permit> {
        self.permit(queue, kind, true)
    }

    fn permit(self: &Arc<Self>, queue: &Queue, kind: &Kind, reserved: bool) -> Option<Permit> {
        let kind = self.own_name(kind);
        let mut taken = self.taken();
        let free = self.all > taken.all
            && room(&self.queues, &taken.queues, queue) > 0
            && room(&self.kinds, &taken.kinds, kind) > 0;
        if !free {
            return None;
        }
        taken.all += 1;
        taken.reserved += usize::from(reserved);
        // Only limited names are counted: the maps stay as small as the configuration.
        if self.queues.contains_key(queue) {
            *taken.queues.entry(queue.clone()).or_default() += 1;
        }
        if self.kinds.contains_key(kind) {
            *taken.kinds.entry(kind.clone()).or_default() += 1;
        }
        drop(taken);
        Some(Permit {
            permits: Arc::clone(self),
            queue: queue.clone(),
            kind: kind.clone(),
            reserved,
        })
    }

    /// Permits that are free in all.
    pub(super) fn free(&self) -> usize {
        self.all - self.taken().all
    }

    /// Permits that are taken in all.
    pub(super) fn taken_in_all(&self) -> usize {
        self.taken().all
    }

    /// Permits under which an attempt runs, or is about to.
    pub(super) fn running(&self) -> usize {
        let taken = self.taken();
        taken.all - taken.reserved
    }

    /// Permits that are free for a queue; `usize::MAX` without a limit of its own.
    pub(super) fn free_in_queue(&self, queue: &Queue) -> usize {
        room(&self.queues, &self.taken().queues, queue)
    }

    /// Permits that are free for a kind; `usize::MAX` without a limit of its own.
    pub(super) fn free_of_kind(&self, kind: &Kind) -> usize {
        room(&self.kinds, &self.taken().kinds, self.own_name(kind))
    }

    /// The limit of a queue, if it has one.
    pub(super) fn queue_limit(&self, queue: &Queue) -> Option<usize> {
        self.queues.get(queue).copied()
    }

    /// The limit of a kind, if it has one.
    pub(super) fn kind_limit(&self, kind: &Kind) -> Option<usize> {
        self.kinds.get(self.own_name(kind)).copied()
    }
}

fn room<N: std::hash::Hash + Eq>(limits: &HashMap<N, usize>, taken: &HashMap<N, usize>, name: &N) -> usize {
    limits.get(name).map_or(usize::MAX, |limit| {
        limit.saturating_sub(taken.get(name).copied().unwrap_or(0))
    })
}

impl Permit {
    /// The task for which it was reserved begins to run.
    pub(super) fn begin(&mut self) {
        if std::mem::take(&mut self.reserved) {
            self.permits.taken().reserved -= 1;
        }
    }
}

/// The permit of a run. However the run ends, also when its future is dropped, the pumps hear that the permit is free.
#[derive(Debug)]
pub(super) struct InUse {
    engine: Arc<Engine>,
    permit: Option<Permit>,
}

impl InUse {
    pub(super) fn new(engine: &Arc<Engine>, permit: Permit) -> Self {
        Self {
            engine: Arc::clone(engine),
            permit: Some(permit),
        }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.engine.permit_freed();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.permits.taken();
        taken.all -= 1;
        taken.reserved -= usize::from(self.reserved);
        if let Some(n) = taken.queues.get_mut(&self.queue) {
            *n -= 1;
        }
        if let Some(n) = taken.kinds.get_mut(&self.kind) {
            *n -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_permit_is_taken_and_does_not_run_until_it_begins() {
        let (queue, kind) = (Queue::new("q").unwrap(), Kind::new("k").unwrap());
        let permits = Permits::new(2, HashMap::new(), HashMap::new(), HashMap::new());
        let mut first = permits.reserve(&queue, &kind).unwrap();
        let second = permits.reserve(&queue, &kind).unwrap();
        assert!(permits.reserve(&queue, &kind).is_none(), "the worker's limit");
        assert_eq!((permits.taken_in_all(), permits.running()), (2, 0));
        first.begin();
        assert_eq!((permits.taken_in_all(), permits.running()), (2, 1));
        drop((first, second));
        assert_eq!(
            (permits.taken_in_all(), permits.running(), permits.free()),
            (0, 0, 2)
        );
    }

    #[test]
    fn every_limit_holds_and_a_dropped_permit_is_free_again() {
        let (queue, other) = (Queue::new("q").unwrap(), Queue::new("other").unwrap());
        let (kind, free) = (Kind::new("k").unwrap(), Kind::new("free").unwrap());
        let old = Kind::new("old-k").unwrap();
        let permits = Permits::new(
            3,
            HashMap::from([(queue.clone(), 2)]),
            HashMap::from([(kind.clone(), 1)]),
            HashMap::from([(old.clone(), kind.clone())]),
        );
        let first = permits.take(&queue, &kind).unwrap();
        assert!(permits.take(&other, &kind).is_none(), "the kind's limit");
        assert!(
            permits.take(&other, &old).is_none(),
            "the kind's limit, by another name"
        );
        let second = permits.take(&queue, &free).unwrap();
        assert!(permits.take(&queue, &free).is_none(), "the queue's limit");
        let third = permits.take(&other, &free).unwrap();
        assert!(permits.take(&other, &free).is_none(), "the worker's limit");
        assert_eq!(
            (
                permits.free(),
                permits.free_in_queue(&queue),
                permits.free_of_kind(&kind)
            ),
            (0, 0, 0)
        );
        drop((first, second, third));
        assert_eq!(
            (
                permits.free(),
                permits.free_in_queue(&queue),
                permits.free_of_kind(&kind)
            ),
            (3, 2, 1)
        );
    }
}

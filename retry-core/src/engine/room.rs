//! How much may be claimed now: for free permits, and a bounded number ahead of them.

use std::collections::HashMap;

use super::part::{Caution, Engine, Part};
use crate::name::{Kind, Queue};
use crate::task::Task;

/// What one exchange may still ask for.
#[derive(Debug)]
pub(super) struct Room<'e> {
    engine: &'e Engine,
    /// Free permits that no waiting task will take.
    free: usize,
    /// Places for tasks that will wait for a permit.
    ahead: usize,
    /// What one call may still carry.
    call: usize,
    suspects: usize,
    /// Enough suspects wait already.
    suspects_wait: bool,
    asked_of_queue: HashMap<Queue, usize>,
    asked_of_kind: HashMap<Kind, usize>,
}

/// What a request may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) limit: usize,
    pub(super) kinds: Vec<(Kind, usize)>,
    pub(super) max_suspects: usize,
}

impl<'e> Room<'e> {
    /// With `only_free` nothing is claimed ahead. `call` is what the call may carry.
    pub(super) fn of(part: &'e Part, only_free: bool, call: usize) -> Self {
        let engine = &part.engine;
        let (permits, waiting) = (engine.permits.free(), engine.buffer.len());
        // Each part has its share of the places, so that none is kept out by another's backlog.
        let capacity = engine.setup.config.prefetch().div_ceil(engine.parts());
        let waiting_on = waiting.saturating_sub(permits).min(engine.buffer.len_of(part));
        // A buffer that is still half full is not refilled: small claims cost as much as large ones.
        let full = only_free || waiting_on * 2 > capacity;
        let free = permits.saturating_sub(waiting);
        // For every free permit, and one that waits; one by one while some are on their last life.
        let most = match part.caution() {
            Caution::None => free + 1,
            Caution::OneByOne => 1,
            Caution::Wait => 0,
        };
        let suspects = most.saturating_sub(engine.buffer.count(Task::is_suspect));
        Self {
            engine,
            free,
            ahead: if full { 0 } else { capacity - waiting_on },
            call,
            suspects,
            suspects_wait: suspects == 0,
            asked_of_queue: HashMap::new(),
            asked_of_kind: HashMap::new(),
        }
    }

    /// Whether no suspect may be claimed before one that waits has started.
    pub(super) const fn suspects_wait(&self) -> bool {
        self.suspects_wait
    }

    /// Whether there is room for a task of some kinds of a queue.
    pub(super) fn serves(&self, queue: &Queue, kinds: &[Kind], ahead: bool) -> bool {
        let permitted = if ahead { self.free + self.ahead } else { self.free };
        permitted.min(self.call) > 0 && self.has_queue(queue) && kinds.iter().any(|kind| self.has_kind(kind))
    }

    /// Whether one more task of a kind may be held, as far as the kind's own limit goes.
    pub(super) fn has_kind(&self, kind: &Kind) -> bool {
        self.of_kind(kind) > 0
    }

    /// Whether one more task of a queue may be held, as far as the queue's own limit goes.
    pub(super) fn has_queue(&self, queue: &Queue) -> bool {
        self.of_queue(queue) > 0
    }

    /// The share of some kinds of a queue, one of `shares` that are still to be given; none when there is room for none.
    pub(super) fn share(&self, queue: &Queue, kinds: &[Kind], ahead: bool, shares: usize) -> Option<Share> {
        let all = (self.free + self.ahead).min(self.call);
        let permitted = if ahead { all } else { self.free.min(all) };
        let limit = all.div_ceil(shares).min(permitted).min(self.of_queue(queue));
        let kinds: Vec<(Kind, usize)> = kinds
            .iter()
            .map(|kind| (kind.clone(), self.of_kind(kind).min(limit)))
            .filter(|(_, limit)| *limit > 0)
            .collect();
        let max_suspects = self.suspects.div_ceil(shares).min(limit);
        (!kinds.is_empty()).then_some(Share {
            limit,
            kinds,
            max_suspects,
        })
    }

    /// Takes what is asked for out of the room.
    pub(super) fn take(&mut self, queue: &Queue, share: &Share) {
        let from_free = share.limit.min(self.free);
        self.free -= from_free;
        self.ahead = self.ahead.saturating_sub(share.limit - from_free);
        self.call -= share.limit;
        self.suspects -= share.max_suspects;
        *self.asked_of_queue.entry(queue.clone()).or_default() += share.limit;
        for (kind, limit) in &share.kinds {
            let name = self.engine.permits.own_name(kind).clone();
            *self.asked_of_kind.entry(name).or_default() += limit;
        }
    }

    fn of_queue(&self, queue: &Queue) -> usize {
        let permits = &self.engine.permits;
        permits.queue_limit(queue).map_or(usize::MAX, |limit| {
            let waiting = self.engine.buffer.count(|task| task.queue == *queue);
            let asked = self.asked_of_queue.get(queue).copied().unwrap_or(0);
            let places = permits.free_in_queue(queue) + limit.min(self.ahead);
            places.saturating_sub(waiting + asked)
        })
    }

    fn of_kind(&self, kind: &Kind) -> usize {
        let (permits, kinds) = (&self.engine.permits, &self.engine.setup.kinds);
        permits.kind_limit(kind).map_or(usize::MAX, |limit| {
            let ahead = kinds.get(kind).is_some_and(|entry| entry.prefetch);
            // All names of a kind share its limit. One claim may ask for it under each of them; what comes beyond it
            // waits for a permit.
            let name = permits.own_name(kind);
            let waiting = self
                .engine
                .buffer
                .count(|task| permits.own_name(&task.kind) == name);
            let asked = self.asked_of_kind.get(name).copied().unwrap_or(0);
            let places = permits.free_of_kind(kind) + if ahead { limit.min(self.ahead) } else { 0 };
            places.saturating_sub(waiting + asked)
        })
    }
}

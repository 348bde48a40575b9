//! Where the pump claims from: each queue with the worker's kinds, and when it is worth asking again.

use std::time::Duration;

use super::part::Part;
use crate::clock::{Clock as _, Monotonic};
use crate::id::SessionId;
use crate::limits::{MAX_BATCH, MAX_CLAIM_KINDS};
use crate::name::{Kind, Queue};
use crate::store::{ClaimRequest, Claimed, Mark};

/// How long a low-water mark is trusted: what it may hide, such as an earlier task that became due again, waits no
/// longer.
const MARK_LIFE: Duration = Duration::from_millis(250);
/// The pause after a claim that found due tasks and got none: they are locked by others.
const CONTENDED_PAUSE: Duration = Duration::from_millis(5);

/// One queue and up to 64 kinds.
#[derive(Debug)]
pub(super) struct Source {
    queue: Queue,
    kinds: Vec<Kind>,
    next_at: Monotonic,
    nothing_due: bool,
    marks: Vec<Mark>,
    marks_until: Monotonic,
}

#[derive(Debug)]
pub(super) struct Sources {
    sources: Vec<Source>,
    first: usize,
}

impl Sources {
    pub(super) fn new(part: &Part) -> Self {
        let setup = &part.engine.setup;
        let mut kinds: Vec<Kind> = setup.kinds.keys().cloned().collect();
        kinds.sort();
        let source = |queue: &Queue, kinds: &[Kind]| Source {
            queue: queue.clone(),
            kinds: kinds.to_vec(),
            next_at: Monotonic::default(),
            nothing_due: false,
            marks: Vec::new(),
            marks_until: Monotonic::default(),
        };
        let chunks = |queue| {
            kinds
                .chunks(MAX_CLAIM_KINDS)
                .map(move |kinds| source(queue, kinds))
        };
        Self {
            sources: setup.queues.iter().flat_map(chunks).collect(),
            first: 0,
        }
    }

    /// Everything may be due: a hint came.
    pub(super) fn wake(&mut self) {
        for source in &mut self.sources {
            source.next_at = Monotonic::default();
            source.nothing_due = false;
            source.marks.clear();
        }
    }

    /// When the next source is worth asking.
    pub(super) fn next_at(&self) -> Monotonic {
        self.sources
            .iter()
            .map(|source| source.next_at)
            .min()
            .unwrap_or(Monotonic::NEVER)
    }

    /// Whether every source said that nothing is due.
    pub(super) fn nothing_due(&self) -> bool {
        self.sources.iter().all(|source| source.nothing_due)
    }

    /// The claims that are worth making now, each with the index of its source. Sources take turns at being first.
    pub(super) fn requests(&mut self, part: &Part, session: SessionId) -> Vec<(usize, ClaimRequest)> {
        let now = part.clock.monotonic();
        let mut room = Room::of(part);
        let n = self.sources.len();
        let due: Vec<usize> = (0..n)
            .map(|i| (self.first + i) % n)
            .filter(|i| self.sources[*i].next_at <= now)
            .collect();
        self.first = (self.first + 1) % n.max(1);
        let mut requests = Vec::new();
        for (turn, index) in due.iter().enumerate() {
            let share = room.all.div_ceil(due.len() - turn);
            let source = &self.sources[*index];
            if let Some(mut request) = room.request(part, source, session, share) {
                if source.marks_until > now {
                    request.after.clone_from(&source.marks);
                }
                room.all -= request.limit;
                requests.push((*index, request));
            }
        }
        requests
    }

    /// Takes an answer into account.
    pub(super) fn answered(&mut self, part: &Part, index: usize, limit: usize, claimed: &Claimed) {
        let now = part.clock.monotonic();
        let poll = now + part.engine.jittered(part.engine.setup.config.idle_poll);
        let source = &mut self.sources[index];
        let store_now = part.clock.now();
        let due_in = claimed.next_due.map(|due| due.saturating_since(store_now));
        source.nothing_due = due_in.is_none_or(|wait| !wait.is_zero());
        source.next_at = match due_in {
            Some(Duration::ZERO) if claimed.tasks.is_empty() => now + CONTENDED_PAUSE,
            Some(wait) => poll.min(now + wait),
            None => poll,
        };
        let full = claimed.tasks.len() >= limit;
        source.marks = if full { claimed.marks.clone() } else { Vec::new() };
        source.marks_until = now + MARK_LIFE;
    }
}

/// How much may be claimed.
struct Room {
    /// Tasks in all.
    all: usize,
    /// Free permits that no buffered task will take.
    free: usize,
    /// Places in the buffer.
    prefetch: usize,
}

impl Room {
    fn of(part: &Part) -> Self {
        let buffered = part.buffered();
        let permits = part.engine.permits.free();
        let capacity = part.engine.setup.config.prefetch();
        let free = permits.saturating_sub(buffered);
        let waiting = buffered.saturating_sub(permits);
        // A buffer that is still half full is not refilled: small claims cost as much as large ones.
        let prefetch = if waiting * 2 > capacity {
            0
        } else {
            capacity - waiting
        };
        Self {
            all: (free + prefetch).min(MAX_BATCH),
            free,
            prefetch,
        }
    }

    fn request(
        &self,
        part: &Part,
        source: &Source,
        session: SessionId,
        share: usize,
    ) -> Option<ClaimRequest> {
        let permits = &part.engine.permits;
        let in_queue = part.buffered_where(|claimed| claimed.task.queue == source.queue);
        let queue_room = match permits.queue_limit(&source.queue) {
            None => usize::MAX,
            Some(limit) => {
                let free = permits.free_in_queue(&source.queue);
                (free + limit.min(self.prefetch)).saturating_sub(in_queue)
            }
        };
        let limit = share.min(self.all).min(queue_room);
        let kinds: Vec<(Kind, usize)> = source
            .kinds
            .iter()
            .map(|kind| (kind.clone(), self.of_kind(part, kind).min(limit)))
            .filter(|(_, limit)| *limit > 0)
            .collect();
        if limit == 0 || kinds.is_empty() {
            return None;
        }
        let mut request = ClaimRequest::new(session, source.queue.clone(), Vec::new(), limit);
        request.kinds = kinds;
        request.max_suspects = (self.free + 1).min(limit);
        Some(request)
    }

    fn of_kind(&self, part: &Part, kind: &Kind) -> usize {
        let permits = &part.engine.permits;
        let ahead = part
            .engine
            .setup
            .kinds
            .get(kind)
            .is_some_and(|entry| entry.prefetch);
        let prefetch = if ahead { self.prefetch } else { 0 };
        match permits.kind_limit(kind) {
            None => self.free + prefetch,
            Some(limit) => {
                let waiting = part.buffered_where(|claimed| claimed.task.kind == *kind);
                let free = permits.free_of_kind(kind).min(self.free.max(waiting));
                (free + limit.min(prefetch)).saturating_sub(waiting)
            }
        }
    }
}

//! Where the pump claims from: each queue with the worker's kinds, and when it is worth asking again.

use std::time::Duration;

use super::marks::Marks;
use super::part::Part;
use super::room::{Room, Share};
use crate::clock::{Clock as _, Monotonic};
use crate::id::SessionId;
use crate::limits::MAX_CLAIM_KINDS;
use crate::name::{Kind, Queue};
use crate::store::{ClaimRequest, Claimed};
use crate::task::Task;

/// The pause after a claim that found due tasks and got none: they are locked by others.
const CONTENDED_PAUSE: Duration = Duration::from_millis(5);
/// How long kinds that are not claimed ahead wait for a free permit before nothing else is claimed ahead either.
const PATIENCE: Duration = Duration::from_millis(250);

/// One queue and up to 64 kinds that are either all claimed ahead or none of them.
#[derive(Debug)]
struct Source {
    queue: Queue,
    kinds: Vec<Kind>,
    ahead: bool,
    next_at: Monotonic,
    /// The last answer said that nothing was due.
    nothing_due: bool,
    /// The last answer told of due tasks beyond those it gave.
    more: bool,
    /// It was asked because its next task should have been due, and gave none, so often in a row: the clock stands still
    /// while the store's, which stepped back, catches up.
    misses: u32,
    told_due: bool,
    /// What the last request did not ask for, because there was no room.
    left_out: LeftOut,
    marks: Marks,
}

#[derive(Debug, Default)]
struct LeftOut {
    kinds: Vec<Kind>,
    suspects: bool,
    /// The suspects were left out because others wait, not because another source had its turn.
    suspects_wait: bool,
}

impl Source {
    fn is_worth_asking(&self, room: &Room<'_>, now: Monotonic) -> bool {
        self.next_at <= now
            || self.left_out.kinds.iter().any(|kind| room.has_kind(kind))
            || (self.left_out.suspects_wait && !room.suspects_wait())
    }

    /// Whether it would get a task if others were not claimed ahead of their permits.
    fn is_hungry(&self, room: &Room<'_>, now: Monotonic) -> bool {
        let waits = self.more || now.saturating_since(self.next_at) >= PATIENCE;
        !self.ahead
            && waits
            && self.is_worth_asking(room, now)
            && room.has_queue(&self.queue)
            && self.kinds.iter().any(|kind| room.has_kind(kind))
    }

    fn request(
        &mut self,
        share: Share,
        suspects_wait: bool,
        session: SessionId,
        now: Monotonic,
    ) -> ClaimRequest {
        let asked = |kind: &Kind| share.kinds.iter().any(|(asked, _)| asked == kind);
        self.left_out = LeftOut {
            kinds: self.kinds.iter().filter(|kind| !asked(kind)).cloned().collect(),
            suspects: share.max_suspects == 0,
            suspects_wait,
        };
        let mut request = ClaimRequest::new(session, self.queue.clone(), Vec::new(), share.limit);
        (request.kinds, request.max_suspects) = (share.kinds, share.max_suspects);
        request.after = self.marks.of_request(now);
        request
    }
}

#[derive(Debug)]
pub(super) struct Sources {
    sources: Vec<Source>,
    first: usize,
}

impl Sources {
    pub(super) fn new(part: &Part) -> Self {
        let setup = &part.engine.setup;
        let mut kinds: Vec<(bool, Kind)> = setup
            .kinds
            .iter()
            .map(|(kind, entry)| (entry.prefetch, kind.clone()))
            .collect();
        kinds.sort();
        let alike = kinds.chunk_by(|(one, _), (other, _)| one == other);
        let chunks: Vec<_> = alike.flat_map(|alike| alike.chunks(MAX_CLAIM_KINDS)).collect();
        let source = |queue: &Queue, chunk: &[(bool, Kind)]| Source {
            queue: queue.clone(),
            kinds: chunk.iter().map(|(_, kind)| kind.clone()).collect(),
            ahead: chunk.iter().all(|(ahead, _)| *ahead),
            next_at: Monotonic::default(),
            nothing_due: false,
            more: false,
            misses: 0,
            told_due: false,
            left_out: LeftOut::default(),
            marks: Marks::default(),
        };
        let of_queue = |queue| chunks.iter().map(move |chunk| source(queue, chunk));
        Self {
            sources: setup.queues.iter().flat_map(of_queue).collect(),
            first: 0,
        }
    }

    /// Everything may be due at `now`: a hint came.
    pub(super) fn wake(&mut self, now: Monotonic) {
        for source in &mut self.sources {
            source.next_at = source.next_at.min(now);
            source.nothing_due = false;
            (source.misses, source.told_due) = (0, false);
            source.marks.wake();
        }
    }

    /// When the next source becomes worth asking by itself. Those that already are wait for room, which is an event.
    pub(super) fn next_after(&self, now: Monotonic) -> Monotonic {
        let times = self.sources.iter().map(|source| source.next_at);
        times.filter(|at| *at > now).min().unwrap_or(Monotonic::NEVER)
    }

    /// Whether every source was asked for everything and said that nothing is due.
    pub(super) fn nothing_due(&self) -> bool {
        self.sources
            .iter()
            .all(|source| source.nothing_due && source.left_out.kinds.is_empty() && !source.left_out.suspects)
    }

    /// The claims that are worth making now, each with the index of its source. Sources take turns at being first.
    /// At most `call` tasks in all.
    pub(super) fn requests(
        &mut self,
        part: &Part,
        session: SessionId,
        call: usize,
    ) -> Vec<(usize, ClaimRequest)> {
        let now = part.clock.monotonic();
        let mut room = Room::of(part, false, call);
        if self.sources.iter().any(|source| source.is_hungry(&room, now)) {
            room = Room::of(part, true, call);
        }
        let n = self.sources.len();
        let serves = |source: &Source, at| {
            source.is_worth_asking(&room, at) && room.serves(&source.queue, &source.kinds, source.ahead)
        };
        // A call that is made anyway carries the polls that are nearly due: idle sources fall into step.
        let slack = part.engine.setup.config.idle_poll / 4;
        let in_turn: Vec<usize> = (0..n).map(|i| (self.first + i) % n).collect();
        let (due, others): (Vec<_>, Vec<_>) =
            in_turn.into_iter().partition(|i| serves(&self.sources[*i], now));
        let until = if due.is_empty() { now } else { now + slack };
        let nearly_due: Vec<_> = others
            .into_iter()
            .filter(|i| serves(&self.sources[*i], until))
            .collect();
        self.first = (self.first + 1) % n.max(1);
        let mut requests = Vec::new();
        for (turn, index) in due.iter().chain(&nearly_due).enumerate() {
            let (source, shares) = (&mut self.sources[*index], due.len() + nearly_due.len() - turn);
            let share = room.share(&source.queue, &source.kinds, source.ahead, shares);
            // One that is not due yet is asked for all kinds or not at all: a kind that were left out would make it
            // due at once, and the sources would take turns at leaving each other out.
            let whole = |share: &Share| share.kinds.len() == source.kinds.len();
            if let Some(share) = share.filter(|share| turn < due.len() || whole(share)) {
                room.take(&source.queue, &share);
                let mut request = source.request(share, room.suspects_wait(), session, now);
                let round = &part.engine.round;
                request.ids.clone_from(&round.ids);
                round.window.bound(&mut request, part.clock.now());
                requests.push((*index, request));
            }
        }
        requests
    }

    /// A call with these requests failed.
    pub(super) fn failed(&mut self, part: &Part, requests: impl Iterator<Item = (usize, ClaimRequest)>) {
        let now = part.clock.monotonic();
        requests.for_each(|(index, request)| self.sources[index].marks.failed(&request, now));
    }

    /// Takes an answer into account. `poll` is when to ask again at the latest.
    pub(super) fn answered(
        &mut self,
        part: &Part,
        index: usize,
        request: &ClaimRequest,
        claimed: &Claimed,
        poll: Monotonic,
    ) {
        let now = part.clock.monotonic();
        let source = &mut self.sources[index];
        let store_now = part.clock.now();
        // Asked for ids a store says nothing of what is left: what was not given is not due.
        let next_due = match &request.ids {
            Some(_) => reached_a_limit(request, claimed).then_some(store_now),
            None => claimed.next_due,
        };
        let due_in = next_due.map(|due| due.saturating_since(store_now));
        let more = due_in == Some(Duration::ZERO);
        source.marks.answered(request, claimed, more, now);
        let may_hide = !request.after.is_empty() && claimed.tasks.len() < request.limit;
        if may_hide && !source.marks.are_trusted(now) {
            // Behind the marks there is no more; what they hide is asked for at once.
            (source.next_at, source.nothing_due) = (now, false);
            return;
        }
        source.more = more;
        // What marks hide was not due when it was last asked for, and nothing has come up since.
        let nothing_came = source.nothing_due && claimed.tasks.is_empty();
        source.nothing_due = !more && (!may_hide || nothing_came);
        let missed = claimed.tasks.is_empty() && source.told_due;
        source.misses = if missed { source.misses + 1 } else { 0 };
        source.next_at = match due_in {
            Some(wait) if claimed.tasks.is_empty() && (wait.is_zero() || missed) => {
                let pause = CONTENDED_PAUSE.saturating_mul(1 << source.misses.min(16));
                poll.min(now + wait.max(pause))
            }
            Some(wait) => poll.min(now + wait),
            None => poll,
        };
        source.told_due = source.next_at < poll;
        if may_hide {
            source.next_at = source.next_at.min(source.marks.next_sweep());
        }
    }
}

/// Whether a claim got as many as it asked for, in all, of a kind, or of suspects: there may be more.
fn reached_a_limit(request: &ClaimRequest, claimed: &Claimed) -> bool {
    let count = |passes: &dyn Fn(&Task) -> bool| {
        let tasks = claimed.tasks.iter();
        tasks.filter(|claimed| passes(&claimed.task)).count()
    };
    let of_kind = |(kind, limit): &(Kind, usize)| count(&|task| task.kind == *kind) >= *limit;
    claimed.tasks.len() >= request.limit
        || request.kinds.iter().any(of_kind)
        || (request.max_suspects > 0 && count(&Task::is_suspect) >= request.max_suspects)
}

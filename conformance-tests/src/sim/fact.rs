//! What happens in a world, as its invariants see it.

use retry_core::alert::Alert;
use retry_core::clock::Monotonic;
use retry_core::executor::Ctx;
use retry_core::id::{SessionId, TaskId};
use retry_core::store::{ClaimRequest, Inserted, Took};
use retry_core::task::{Edit, State, Task, WaitToken};

use super::exec::HostId;
use super::script::KindOf;

/// One life of a host: a crash or a restart begins the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Who {
    pub(super) host: HostId,
    pub(super) life: u32,
}

/// The methods of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Op {
    Insert,
    Exchange,
    Open,
    Renew,
    Close,
    Sessions,
    Expired,
    Get,
    List,
    Count,
    Purge,
    SetQueue,
    Queues,
    Time,
    /// Of an outbox.
    Next,
}

impl Op {
    pub(super) const ALL: [Self; 15] = [
        Self::Insert,
        Self::Exchange,
        Self::Open,
        Self::Renew,
        Self::Close,
        Self::Sessions,
        Self::Expired,
        Self::Get,
        Self::List,
        Self::Count,
        Self::Purge,
        Self::SetQueue,
        Self::Queues,
        Self::Time,
        Self::Next,
    ];
}

/// How a call ended for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Good,
    /// A renewal of a lost session, or a claim for one.
    SessionLost,
    Rejected,
    /// Rejected because somebody's open transaction may hold a unique key: the store itself is well.
    Contended,
    Unknown,
}

impl Answer {
    pub(super) const fn failed(self) -> bool {
        matches!(self, Self::Rejected | Self::Contended | Self::Unknown)
    }
}

/// Who holds a running task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) who: Option<Who>,
    pub(super) session: SessionId,
    pub(super) version: u64,
    /// Its cancel was requested before it was claimed.
    pub(super) flagged: bool,
}

/// A stored task.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The part of the store that has it.
    pub(super) part: usize,
    pub(super) task: Task,
    pub(super) script: Option<usize>,
    /// The last claim.
    pub(super) claim: Option<Claim>,
    /// When its cancel was requested.
    pub(super) flagged_at: Option<Monotonic>,
}

/// How a handler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum How {
    Succeeded,
    Failed,
    FailedForGood,
    Snoozed,
    Continued,
    Waits,
    Splits,
    /// Its future was dropped.
    Dropped,
}

/// One run of a handler.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) index: usize,
    pub(super) who: Who,
    pub(super) id: TaskId,
    pub(super) part: usize,
    /// The version of its claim; 0 of a task that is not stored.
    pub(super) version: u64,
    pub(super) kind: KindOf,
    pub(super) queue: String,
    pub(super) attempt: u32,
    pub(super) fallback: bool,
    /// How many failed runs of the same attempt it repeats.
    pub(super) again: u32,
    /// Its task is not stored yet.
    pub(super) tried: bool,
    pub(super) started_at: Monotonic,
    /// The session that its worker knew of when it started.
    pub(super) session: Option<SessionId>,
    pub(super) ctx: Ctx,
    /// When its cancellation was first seen.
    pub(super) cancelled_at: Option<Monotonic>,
    pub(super) ended: Option<How>,
    /// Its cancellation had fired when it ended.
    pub(super) cancelled: bool,
}

/// What happens to a row of the outbox.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowStep {
    Written,
    Committed,
    /// The store took its task.
    HandedOver(Inserted),
}

/// What changed a stored task.
#[derive(Debug, Clone, Copy)]
pub(super) enum By<'a> {
    Insert,
    Edit {
        who: Who,
        edit: &'a Edit,
        took: Took,
    },
    /// A child's end, an inserted child, a duplicate that replaced parts.
    Effect,
    Claim,
    Purge,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Fact<'a> {
    /// A call leaves its host.
    Sent {
        who: Who,
        part: usize,
        op: Op,
        edits: &'a [Edit],
        claims: &'a [ClaimRequest],
        mark: bool,
    },
    /// A call ended for its caller.
    Answered {
        who: Who,
        part: usize,
        op: Op,
        sent: Monotonic,
        answer: Answer,
        nonces: &'a [u64],
        session: Option<SessionId>,
    },
    /// A stored task changed; absent is not stored.
    Changed {
        by: By<'a>,
        before: Option<&'a Row>,
        after: Option<&'a Row>,
    },
    Opened {
        who: Who,
        part: usize,
        session: SessionId,
    },
    /// A rescuer marked it lost.
    Marked {
        by: Who,
        session: SessionId,
    },
    Closed {
        who: Who,
        session: SessionId,
        holds: usize,
    },
    Started {
        run: &'a Run,
    },
    Ended {
        run: &'a Run,
        how: How,
    },
    /// A handler was told how its checkpoint ended; on success with the version after it.
    Checkpointed {
        who: Who,
        id: TaskId,
        version: u64,
        stored: bool,
    },
    /// An enqueue was acknowledged; `new`: as a task of its own.
    Enqueued {
        id: TaskId,
        new: bool,
    },
    /// An enqueue failed, and certainly nothing was written.
    Refused {
        script: usize,
    },
    /// Something happened to a row of the outbox.
    Outbox {
        id: TaskId,
        step: RowStep,
    },
    /// A completion was acknowledged.
    Completed {
        token: WaitToken,
        reruns: u32,
    },
    /// A worker told somebody of a failure, a wait or a run.
    Alerted {
        who: Who,
        alert: &'a Alert,
    },
    /// Nothing can happen before time moves on.
    Quiet,
    /// Every task has ended and every worker idles.
    Drained,
}

/// The part of an id that differs within a history.
pub(super) fn short(id: TaskId) -> u64 {
    let bytes = id.to_bytes();
    let half = |range: std::ops::Range<usize>| {
        bytes[range]
            .iter()
            .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))
    };
    half(0..8) ^ half(8..16).rotate_left(17)
}

pub(super) fn name(id: TaskId) -> String {
    format!("task {:08x}", short(id) & 0xffff_ffff)
}

impl Row {
    pub(super) fn is(&self, state: State) -> bool {
        self.task.state == state
    }
}

//! Why a task is not running: the reasons, and the pure function that finds them.
//!
//! The answer is as good as what the store keeps: the task's record, the sessions of workers, the queues with their
//! lanes. It is a picture of one moment; the task may have gone on meanwhile.

mod decide;
#[cfg(test)]
mod decide_test;
mod text;

pub use decide::reason;

use crate::id::{SessionId, TaskId};
use crate::name::{Kind, Queue, WorkerName};
use crate::store::{Lane, StoreError};
use crate::task::{Children, ErrorText, OnWaitDeadline, State};
use crate::time::Timestamp;

/// Why a task is not running, at a moment of its store's time. Shown as a sentence.
#[derive(Debug)]
#[non_exhaustive]
pub struct Why {
    /// The task.
    pub id: TaskId,
    /// The moment.
    pub at: Timestamp,
    /// The reason.
    pub reason: Reason,
}

impl Why {
    pub(crate) const fn new(id: TaskId, at: Timestamp, reason: Reason) -> Self {
        Self { id, at, reason }
    }
}

/// The one reason that comes before all others.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The store has no such task: it never had, or forgot it when its retention was over.
    Missing,
    /// The store, or the part of it that may have the task, does not answer.
    NoAnswer {
        /// What was asked for.
        asked: &'static str,
        /// The number of the part of a sharded store.
        part: Option<usize>,
        /// What the store said.
        error: StoreError,
    },
    /// It has ended.
    Ended(Ended),
    /// It runs, or is held by a worker that is gone.
    Running(Running),
    /// It waits for a completion from outside.
    Waiting {
        /// When the wait ends by itself.
        until: Option<Timestamp>,
        /// What happens then.
        then: OnWaitDeadline,
    },
    /// It waits for its children.
    Joining {
        /// How they stand.
        children: Children,
        /// What comes next.
        next: Joining,
    },
    /// It is due in the future.
    Later {
        /// When.
        at: Timestamp,
        /// Why not now.
        because: Because,
    },
    /// Its start deadline has passed, and it is about to be cancelled by a worker.
    Expired {
        /// The start deadline.
        at: Timestamp,
        /// Live workers, any of which cancels it.
        workers: usize,
    },
    /// An operator wants it cancelled; the worker that claims it next does not run it.
    CancelRequested,
    /// It is due and its queue is paused.
    Paused {
        /// The queue.
        queue: Queue,
    },
    /// It is due and no live worker serves both its queue and its kind.
    NoWorker {
        /// The queue.
        queue: Queue,
        /// The kind.
        kind: Kind,
        /// The live workers and what they serve.
        serving: Vec<Serves>,
    },
    /// It is due and a suspect: its last lease was lost, so it is claimed with care.
    Suspect {
        /// Leases lost in a row.
        crashes: u32,
        /// How many fail it.
        budget: Option<u32>,
        /// One more would: it waits until it can run without another such task beside it.
        last_life: bool,
        /// Live workers that serve it.
        workers: usize,
    },
    /// It is due and waits for its turn.
    Queued {
        /// Due lanes that its workers claim from first.
        ahead: Vec<Lane>,
        /// The due time of the first task of its own lane, when that is another one.
        behind: Option<Timestamp>,
        /// Live workers that serve it. When nothing is ahead, all of them are busy or about to claim it.
        workers: usize,
    },
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// How.
    pub state: State,
    /// When.
    pub at: Timestamp,
    /// The last error; of a success, one of an attempt before.
    pub error: Option<ErrorText>,
    /// Whether its fallback did the work.
    pub via_fallback: bool,
    /// When it may be forgotten.
    pub purge_at: Option<Timestamp>,
    /// Its children that are still open, about to be cancelled.
    pub open_children: u32,
}

/// Who runs a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Running {
    /// When it was claimed, or stored progress last.
    pub since: Timestamp,
    /// The number of the attempt.
    pub attempt: u32,
    /// Who holds it.
    pub session: Option<SessionId>,
    /// The worker, as long as the store knows its session.
    pub worker: Option<Holder>,
    /// How its lease stands.
    pub lease: Lease,
    /// An operator wants it cancelled.
    pub cancel_requested: bool,
    /// Its children: of one that is splitting, those that are stored so far.
    pub children: Children,
    /// Live workers, any of which rescues it.
    pub rescuers: usize,
}

/// A worker that holds a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Its name.
    pub name: WorkerName,
    /// Its machine.
    pub host: String,
}

/// How the lease of a running task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lease {
    /// It holds.
    Until(Timestamp),
    /// It ended and was not renewed: a rescuer takes the task soon.
    EndedAt(Timestamp),
    /// The session was marked lost: a rescuer takes the task.
    Lost,
    /// The session is unknown to the store: a rescuer takes the task.
    Unknown,
    /// It holds, but the attempt overran the task's own deadline: a rescuer takes the task.
    Overran(Timestamp),
}

/// What a parent waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Joining {
    /// The end of its open children.
    Children,
    /// The cancel of its open children, because it is itself to be cancelled.
    Cancel,
    /// An operator, who reruns the failed children or releases it.
    Operator,
    /// A rescuer, who ends it or lets it go on, by its policy: all children have ended.
    Rescuer,
}

/// Why a task is not due yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Because {
    /// It was enqueued for that time and has never been claimed or changed.
    Enqueued,
    /// An attempt failed: this is the delay of its retry policy.
    Retry {
        /// The attempt that failed.
        attempt: u32,
        /// Its error.
        error: ErrorText,
    },
    /// Its worker was lost: this is its rescue delay.
    Rescued {
        /// Leases lost in a row.
        crashes: u32,
    },
    /// Its handler put it off (a snooze, or progress with a pause), or an operator did.
    PutOff,
}

/// A live worker and what it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Serves {
    /// Its name.
    pub worker: WorkerName,
    /// Its queues.
    pub queues: Vec<Queue>,
    /// Its kinds.
    pub kinds: Vec<Kind>,
}

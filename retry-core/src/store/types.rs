//! What callers ask a store and what it answers about tasks.

use crate::id::{SessionId, TaskId};
use crate::name::{Kind, Queue};
use crate::priority::Priority;
use crate::task::{ClaimedTask, State, Task, TaskSummary};
use crate::time::Timestamp;

/// How one task of an insert ended, in input order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inserted {
    /// It is stored.
    New {
        /// It was born running under the session it asked for.
        leased: bool,
    },
    /// A task with this id is stored already: the same task, sent again.
    Repeated,
    /// Another task holds its unique key; it was dropped.
    Duplicate {
        /// The holder.
        holder: TaskId,
        /// The holder's state.
        state: State,
    },
    /// The pending holder of its unique key took over parts of it; it was dropped.
    Replaced {
        /// The holder.
        holder: TaskId,
    },
    /// The part of the store that would hold it did not answer; certainly nothing was written.
    NotTried,
}

/// How one edit ended, in input order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Applied {
    /// It was written.
    Done {
        /// How its inserts ended; empty when `took` is [`Took::Cancelled`].
        inserted: Vec<Inserted>,
        /// Which of the change's targets was written.
        took: Took,
    },
    /// The row carries the edit's nonce: it was written before. (A completion: one is stored already.)
    Repeated,
    /// The row has another version or state; nothing was written.
    Stale,
    /// There is no such row; nothing was written.
    Missing,
    /// A rerun's unique key is held by this task; nothing was written.
    KeyTaken(TaskId),
    /// The part of the store that holds it did not answer; certainly nothing was written.
    NotTried,
}

impl Applied {
    /// The plain answer of a written edit without inserts.
    pub const DONE: Self = Self::Done {
        inserted: Vec::new(),
        took: Took::Primary,
    };
}

/// Which target of a change was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Took {
    /// The change itself, or an action without alternatives.
    Primary,
    /// The alternative for a requested cancel.
    Cancelled,
    /// The alternative for an early completion.
    Completed,
    /// The alternative for no open child.
    NoneOpen,
}

/// A request for due tasks of one queue. Exhaustive on purpose: every field is to be obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Who will run them.
    pub session: SessionId,
    /// The queue.
    pub queue: Queue,
    /// The kinds that can be run and how many of each at most; at most 64, each once.
    pub kinds: Vec<(Kind, usize)>,
    /// How many at most in all.
    pub limit: usize,
    /// How many of them may be suspects, tasks whose last lease was lost.
    pub max_suspects: usize,
    /// Only these tasks, without regard to lanes and order.
    pub ids: Option<Vec<TaskId>>,
    /// Only tasks due at this time or later.
    pub not_before: Option<Timestamp>,
    /// Only tasks due at this time or earlier (besides `now`).
    pub not_after: Option<Timestamp>,
    /// Start lanes behind these positions, up to which everything was claimed.
    pub after: Vec<Mark>,
}

impl ClaimRequest {
    /// A request for up to `limit` tasks of some kinds of a queue, each kind up to `limit`.
    #[must_use]
    pub fn new(
        session: SessionId,
        queue: Queue,
        kinds: impl IntoIterator<Item = Kind>,
        limit: usize,
    ) -> Self {
        Self {
            session,
            queue,
            kinds: kinds.into_iter().map(|kind| (kind, limit)).collect(),
            limit,
            max_suspects: limit,
            ids: None,
            not_before: None,
            not_after: None,
            after: Vec::new(),
        }
    }
}

/// A lane of a queue: the unit of the ready index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The kind.
    pub kind: Kind,
    /// The level.
    pub priority: Priority,
    /// Whether its tasks lost their last lease.
    pub suspect: bool,
}

/// A position in a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The lane.
    pub lane: Lane,
    /// The due time of the last task claimed there.
    pub run_at: Timestamp,
    /// Its id.
    pub id: TaskId,
}

/// The answer to one claim request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Claimed {
    /// The tasks, now running under the session.
    pub tasks: Vec<ClaimedTask>,
    /// Due rows that cannot be read; they were put aside as failed and do not block the lane.
    pub bad: Vec<BadRecord>,
    /// `now` when a due row may be left, else the earliest due time of the asked lanes; none when they are empty or
    /// the queue is paused.
    pub next_due: Option<Timestamp>,
    /// Where a later claim may start; only with a full claim.
    pub marks: Vec<Mark>,
    /// The session is lost or unknown: nothing was claimed.
    pub session_lost: bool,
}

/// A stored row that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// Its id.
    pub id: TaskId,
    /// Its version, zero if that cannot be read either.
    pub version: u64,
    /// What is wrong, without the data itself.
    pub reason: String,
}

/// The answer to an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Exchanged {
    /// One answer per edit, in input order.
    pub applied: Vec<Applied>,
    /// One answer per claim request, in input order.
    pub claimed: Vec<Claimed>,
}

impl Exchanged {
    /// An answer.
    #[must_use]
    pub const fn new(applied: Vec<Applied>, claimed: Vec<Claimed>) -> Self {
        Self { applied, claimed }
    }
}

/// Which tasks to list. An empty list means any. Filters on headers and texts scan under the budget of records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskFilter {
    /// In one of these states.
    pub states: Vec<State>,
    /// In one of these queues.
    pub queues: Vec<Queue>,
    /// Of one of these kinds.
    pub kinds: Vec<Kind>,
    /// With this unique key, held or not.
    pub key: Option<String>,
    /// Children of this task.
    pub parent: Option<TaskId>,
    /// Held by this session.
    pub session: Option<SessionId>,
    /// Inserted at this time or later.
    pub created_from: Option<Timestamp>,
    /// Inserted before this time.
    pub created_before: Option<Timestamp>,
    /// Due at this time or later.
    pub due_from: Option<Timestamp>,
    /// Due before this time.
    pub due_before: Option<Timestamp>,
    /// With this header.
    pub header: Option<(String, String)>,
    /// Whose last error contains this text (case matters).
    pub error_contains: Option<String>,
    /// Whose payload contains this text (case matters).
    pub payload_contains: Option<String>,
    /// Give outputs as well; pages are cut at 8 MiB then.
    pub with_output: bool,
}

/// Which part of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The `next` of the page before; none starts with the newest task.
    pub after: Option<TaskId>,
    /// Rows at most, up to 1,000.
    pub limit: usize,
}

impl Page {
    /// The first page.
    #[must_use]
    pub const fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }
}

/// One page of a listing, newest id first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Listed {
    /// The rows.
    pub tasks: Vec<TaskSummary>,
    /// Rows that cannot be read.
    pub bad: Vec<BadRecord>,
    /// Where the next page starts; none at the end. A short page may have one.
    pub next: Option<TaskId>,
    /// Parts of a sharded store that did not answer.
    pub missing_parts: Vec<usize>,
}

/// What to count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CountScope {
    /// Only this queue.
    pub queue: Option<Queue>,
    /// Count to the end instead of giving up after 10,000 records per state.
    pub exact: bool,
}

/// A count that may have been given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Count {
    /// This many.
    Exact(u64),
    /// This many or more.
    AtLeast(u64),
}

impl Count {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        match self {
            Self::Exact(n) | Self::AtLeast(n) => n,
        }
    }
}

/// Tasks by queue and state; what is absent was not seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// The counts.
    pub counts: std::collections::BTreeMap<(Queue, State), Count>,
    /// Whether each state was counted to the end: a state that was not may have tasks in queues that are absent.
    pub complete: bool,
    /// Parts of a sharded store that did not answer.
    pub missing_parts: Vec<usize>,
}

impl Counts {
    /// How many tasks of `state` were counted over all queues.
    #[must_use]
    pub fn of(&self, state: State) -> u64 {
        self.counts
            .iter()
            .filter(|((_, at), _)| *at == state)
            .map(|(_, count)| count.get())
            .sum()
    }
}

/// Which lost leases and due alarms to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExpiredRequest {
    /// Mark sessions lost whose lease has ended. (A session whose process is proved dead is always marked.)
    pub mark: bool,
    /// The `next` of the answer before.
    pub after: Option<ExpiredCursor>,
    /// Items reported plus sessions marked, at most, up to 1,000.
    pub limit: usize,
}

/// What a rescuer has to settle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Expired {
    /// Tasks and why they are reported.
    pub items: Vec<(Task, Cause)>,
    /// Reported rows that cannot be read.
    pub bad: Vec<BadRecord>,
    /// Where to go on; none: the round is complete. Rounds keep one row from blocking another.
    pub next: Option<ExpiredCursor>,
}

/// A position in the round of expired tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExpiredCursor {
    /// Behind this task of this lost or missing session.
    Session(SessionId, TaskId),
    /// Behind the task with this alarm.
    Alarm(Timestamp, TaskId),
}

impl ExpiredCursor {
    /// Before everything: the `next` of an answer that marking sessions has used up.
    pub const START: Self = Self::Session(SessionId::from_bytes([0; 16]), TaskId::MIN);
}

/// Why a task is reported to the rescuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The lease of its session ended, or its session does not exist.
    SessionLost,
    /// The process of its session is proved dead, or closed its session.
    SessionDead,
    /// Its alarm is due.
    Alarm,
}

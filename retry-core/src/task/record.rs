//! A task as a store gives it back.

use super::{Completion, ErrorText, FailedAttempt, KeyScope, NewTask, Settings, State, WaitToken};
use crate::headers::Headers;
use crate::id::{SessionId, TaskId};
use crate::name::{Kind, Queue, UniqueKey};
use crate::payload::Payload;
use crate::priority::Priority;
use crate::time::Timestamp;

/// The part of a task's record on which the state machine decides: everything but the large data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its identity.
    pub id: TaskId,
    /// Selects the handler.
    pub kind: Kind,
    /// The group it is claimed from.
    pub queue: Queue,
    /// Its level.
    pub priority: Priority,
    /// When it was inserted.
    pub created_at: Timestamp,
    /// Where it is in its life.
    pub state: State,
    /// When it is, or was last, due.
    pub run_at: Timestamp,
    /// Attempts of this step that were claimed.
    pub attempt: u32,
    /// Consecutive lost leases.
    pub crashes: u32,
    /// Waits and splits passed.
    pub step: u32,
    /// Raised by one by every claim and every `Set`; the fencing token.
    pub version: u64,
    /// Who runs it; present in [`State::Running`] only.
    pub session: Option<SessionId>,
    /// An operator wants it cancelled.
    pub cancel_requested: bool,
    /// The next instant at which something must happen to it without a claim.
    pub alarm_at: Option<Timestamp>,
    /// When it may be forgotten; set in final states only.
    pub purge_at: Option<Timestamp>,
    /// Whether it holds its unique key.
    pub holds_key: bool,
    /// The time of the last claim or `Set`; of a final task, its end.
    pub updated_at: Timestamp,
    /// Its unique key.
    pub unique: Option<(UniqueKey, KeyScope)>,
    /// The task that waits for it.
    pub parent: Option<TaskId>,
    /// The tasks it waits for, counted over all its splits.
    pub children: Children,
    /// Its own rules.
    pub settings: Settings,
    /// Part of the tokens that complete its waits.
    pub wait_secret: u64,
    /// How often it was rerun.
    pub reruns: u32,
}

/// How a parent's children stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Children {
    /// All that were inserted.
    pub total: u32,
    /// Not final yet.
    pub open: u32,
    /// Ended failed or cancelled.
    pub failed: u32,
}

impl Task {
    /// The record of a new task inserted at `now`, not leased.
    #[must_use]
    pub fn pending(new: &NewTask, now: Timestamp) -> Self {
        Self {
            id: new.id,
            kind: new.kind.clone(),
            queue: new.queue.clone(),
            priority: new.priority,
            created_at: now,
            state: State::Pending,
            run_at: new.run_at,
            attempt: 0,
            crashes: 0,
            step: 0,
            version: 0,
            session: None,
            cancel_requested: false,
            alarm_at: new.settings.expires_at,
            purge_at: None,
            holds_key: new.unique.is_some(),
            updated_at: now,
            unique: new
                .unique
                .as_ref()
                .map(|unique| (unique.key.clone(), unique.scope)),
            parent: new.parent,
            children: Children::default(),
            settings: new.settings.clone(),
            wait_secret: new.wait_secret,
            reruns: 0,
        }
    }

    /// The start deadline, while it binds: a task behind its first step, or with children, has begun for good.
    #[must_use]
    pub const fn start_deadline(&self) -> Option<Timestamp> {
        match (self.step, self.children.total) {
            (0, 0) => self.settings.expires_at,
            _ => None,
        }
    }

    /// Whether the last holder of its lease was lost: such tasks have lanes of their own, of which a worker claims no more
    /// than it can start at once, and one.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.crashes > 0
    }

    /// Whether one more lost lease uses up its crash budget. A worker runs such tasks one at a time, so that the one that
    /// kills its process does not take those beside it along.
    #[must_use]
    pub fn is_on_its_last_life(&self) -> bool {
        let budget = self.settings.crash_budget;
        self.is_suspect() && budget.is_some_and(|budget| self.crashes.saturating_add(1) >= budget)
    }

    /// When it ended; none while it has not.
    #[must_use]
    pub fn finished_at(&self) -> Option<Timestamp> {
        self.state.is_final().then_some(self.updated_at)
    }

    /// The token that completes the wait of its present step.
    #[must_use]
    pub const fn wait_token(&self) -> WaitToken {
        WaitToken {
            task: self.id,
            step: self.step,
            secret: self.wait_secret,
        }
    }
}

/// A task handed to the worker that claimed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedTask {
    /// The record, already running.
    pub task: Task,
    /// What the handler gets.
    pub payload: Payload,
    /// Texts that travel along.
    pub headers: Headers,
    /// The progress it stored.
    pub checkpoint: Option<Payload>,
    /// The completion of the step before this one.
    pub completion: Option<Completion>,
}

/// Everything a store keeps about a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskDetail {
    /// The record.
    pub task: Task,
    /// What the handler gets.
    pub payload: Payload,
    /// Texts that travel along.
    pub headers: Headers,
    /// The progress it stored.
    pub checkpoint: Option<Payload>,
    /// The completion of the step before this one.
    pub completion: Option<Completion>,
    /// A completion that came before the present step waited for it.
    pub early_completion: Option<Completion>,
    /// What it returned.
    pub output: Option<Payload>,
    /// The last error.
    pub last_error: Option<ErrorText>,
    /// Whether the fallback did the work.
    pub via_fallback: bool,
    /// Its failed attempts, oldest first, the last 20.
    pub failures: Vec<FailedAttempt>,
}

impl TaskDetail {
    /// The detail of a claimed task without the fields a claim does not carry.
    #[must_use]
    pub fn new(claimed: ClaimedTask) -> Self {
        let ClaimedTask {
            task,
            payload,
            headers,
            checkpoint,
            completion,
        } = claimed;
        Self {
            task,
            payload,
            headers,
            checkpoint,
            completion,
            early_completion: None,
            output: None,
            last_error: None,
            via_fallback: false,
            failures: Vec::new(),
        }
    }
}

/// One row of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskSummary {
    /// The record.
    pub task: Task,
    /// The last error.
    pub last_error: Option<ErrorText>,
    /// What it returned, if the filter asked for outputs.
    pub output: Option<Payload>,
    /// Whether the fallback did the work.
    pub via_fallback: bool,
}

impl TaskSummary {
    /// A row.
    #[must_use]
    pub const fn new(
        task: Task,
        last_error: Option<ErrorText>,
        output: Option<Payload>,
        via_fallback: bool,
    ) -> Self {
        Self {
            task,
            last_error,
            output,
            via_fallback,
        }
    }
}

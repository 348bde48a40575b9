//! An alert: what happened, to which task, by which rule.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::id::TaskId;
use crate::name::{Kind, Queue, WorkerName};
use crate::priority::Priority;
use crate::task::{ErrorText, State, Task};
use crate::time::Timestamp;

/// What an alert is about; the module's table says when each is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertReason {
    /// An attempt failed; the task will be retried.
    AttemptFailed,
    /// An attempt lost its worker; the task will be retried.
    LeaseLost,
    /// The task ended as failed.
    TaskFailed,
    /// The task ended as failed because it lost too many workers in a row.
    CrashBudgetSpent,
    /// A stored task cannot be read. A claim that met it has put it aside as failed; one whose worker is lost, or whose
    /// alarm rings, stays as it is.
    Unreadable,
    /// The oldest due task of a queue and kind has waited too long.
    NotStarted,
    /// The same, and no live worker runs that kind of that queue.
    UnhandledKind,
    /// An attempt has run too long.
    RunningLong,
}

impl AlertReason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::AttemptFailed,
        Self::LeaseLost,
        Self::TaskFailed,
        Self::CrashBudgetSpent,
        Self::Unreadable,
        Self::NotStarted,
        Self::UnhandledKind,
        Self::RunningLong,
    ];

    /// Its name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttemptFailed => "attempt_failed",
            Self::LeaseLost => "lease_lost",
            Self::TaskFailed => "task_failed",
            Self::CrashBudgetSpent => "crash_budget_spent",
            Self::Unreadable => "unreadable",
            Self::NotStarted => "not_started",
            Self::UnhandledKind => "unhandled_kind",
            Self::RunningLong => "running_long",
        }
    }

    /// Whether the task is a dead letter now: an operator can look at it, rerun or delete it.
    #[must_use]
    pub const fn is_dead_letter(self) -> bool {
        matches!(self, Self::TaskFailed | Self::CrashBudgetSpent | Self::Unreadable)
    }
}

impl fmt::Display for AlertReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One alert. It never carries the task's payload; fetch that by the task's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Alert {
    /// What it is about.
    pub reason: AlertReason,
    /// The rule that raised it; for a reason that no rule decides, the reason's name.
    #[serde(serialize_with = "text")]
    pub rule: Arc<str>,
    /// The same for all alerts about one thing, whichever worker raises them: for receivers that join them.
    pub incident: String,
    /// When it was raised, by the store's clock, in milliseconds since the epoch.
    pub at: Timestamp,
    /// The worker that raised it.
    pub worker: WorkerName,
    /// The queue; the default one when it cannot be read.
    pub queue: Queue,
    /// The kind; none when it cannot be read.
    pub kind: Option<Kind>,
    /// The task; none when the alert is about a whole queue and kind.
    pub task: Option<AlertTask>,
    /// The error of the attempt.
    pub error: Option<ErrorText>,
    /// Of a failure, the task's age; of a wait, how long the oldest task has been due; of a run, how long it has
    /// lasted. In JSON `span_ms`.
    #[serde(rename = "span_ms", serialize_with = "millis")]
    pub span: Duration,
    /// How many like it the cool-down has held back since the last one.
    pub suppressed: u64,
}

/// The task that an alert is about, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AlertTask {
    /// Its identity.
    pub id: TaskId,
    /// Its state after what the alert tells.
    pub state: State,
    /// The number of the attempt.
    pub attempt: u32,
    /// How many it may have; none is endless.
    pub max_attempts: Option<u32>,
    /// Lost leases in a row.
    pub crashes: u32,
    /// How often it was rerun.
    pub reruns: u32,
    /// Waits and splits passed.
    pub step: u32,
    /// Its level.
    pub priority: Priority,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When it runs next, if it is retried.
    pub next_run_at: Option<Timestamp>,
    /// Its parent, if it has one.
    pub parent: Option<TaskId>,
    /// The version on which the outcome was decided.
    pub version: u64,
}

impl AlertTask {
    pub(crate) fn of(task: &Task, state: State, next_run_at: Option<Timestamp>) -> Self {
        Self {
            id: task.id,
            state,
            attempt: task.attempt,
            max_attempts: task.settings.max_attempts,
            crashes: task.crashes,
            reruns: task.reruns,
            step: task.step,
            priority: task.priority,
            created_at: task.created_at,
            next_run_at,
            parent: task.parent,
            version: task.version,
        }
    }
}

impl Alert {
    /// The alert as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and numbers only: there is nothing in it that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl fmt::Display for Alert {
    /// One line without the error's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_ref().map_or("?", Kind::as_str);
        write!(f, "{} {kind} in queue {}", self.reason, self.queue)?;
        if let Some(task) = &self.task {
            write!(f, ", task {}, attempt {}", task.id, task.attempt)?;
        }
        write!(f, ", {:?}", self.span)?;
        if self.suppressed > 0 {
            write!(f, ", and {} like it", self.suppressed)?;
        }
        Ok(())
    }
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn millis<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// How many alerts a worker has raised, and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AlertCounts {
    /// Put into the queue of a sink, or of several.
    pub raised: u64,
    /// Held back by a cool-down.
    pub suppressed: u64,
    /// Lost because a sink's queue was full; an alert counts once for each.
    pub dropped: u64,
    /// Taken by a sink; an alert counts once for each.
    pub delivered: u64,
    /// Not taken by a sink: it failed, panicked or took too long.
    pub failed: u64,
}

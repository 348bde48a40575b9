//! Edits: what a caller asks a store to do to one task.

use super::{Completion, CompletionOutcome, ErrorText, FailedAttempt, NewTask, State, TaskDetail};
use crate::headers::Headers;
use crate::id::{Nonce, SessionId, TaskId};
use crate::limits::MAX_FAILURES_KEPT;
use crate::payload::Payload;
use crate::time::Timestamp;

/// One guarded write to one task, with the tasks that are inserted in the same atomic write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The task.
    pub id: TaskId,
    /// The version it was decided on; guards `Set` and `Delete`.
    pub version: u64,
    /// Marks this edit, so that a repeated one is recognised.
    pub nonce: Nonce,
    /// What to do.
    pub action: Action,
    /// Children (their `parent` is `id`) and follow-ups (they have no parent).
    pub insert: Vec<NewTask>,
}

/// What an edit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Writes a change; guarded by id, version and the state it was decided on.
    Set(Change),
    /// Flags a running task; guarded by id and state only, raises no version, idempotent.
    RequestCancel,
    /// Stores a completion that came before its step waits; guarded by id, step and state (pending or running) only,
    /// raises no version. The first one wins.
    StoreCompletion(Completion),
    /// Forgets the task; guarded by id, version and state.
    Delete {
        /// The state it was decided on: a final one, or running for a success that is not kept.
        from: State,
    },
}

/// A change decided by the state machine. The store writes `to`, or the first alternative that fits the locked row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The state it was decided on; part of the guard.
    pub from: State,
    /// What to write.
    pub to: Target,
    /// Written instead when a cancel was requested; the edit's inserts are dropped then.
    pub if_cancelled: Option<Box<Target>>,
    /// Written instead when an early completion of the present step is stored.
    pub if_completed: Option<Box<Target>>,
    /// Written instead when, after this edit's inserts, no child is open.
    pub if_none_open: Option<Box<Target>>,
}

/// The new values of a row. The hot fields are absolute; a store never computes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The new state.
    pub state: State,
    /// When it is due.
    pub run_at: Timestamp,
    /// Attempts of this step.
    pub attempt: u32,
    /// Consecutive lost leases.
    pub crashes: u32,
    /// Waits and splits passed.
    pub step: u32,
    /// Who runs it; present in [`State::Running`] only.
    pub session: Option<SessionId>,
    /// Whether a cancel is wanted. `None` leaves the flag as it is: someone may set it meanwhile.
    pub cancel_requested: Option<bool>,
    /// The next instant at which something must happen without a claim.
    pub alarm_at: Option<Timestamp>,
    /// When it may be forgotten.
    pub purge_at: Option<Timestamp>,
    /// Whether it holds its unique key.
    pub holds_key: bool,
    /// A failed attempt to append to the history; its error becomes the last error.
    pub failure: Option<Box<FailedAttempt>>,
    /// The rarely written fields; absent when none changes, which spares the store a write.
    pub cold: Option<Box<Cold>>,
}

/// Changes to the rarely written fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cold {
    /// What the handler gets.
    pub payload: Option<Payload>,
    /// Texts that travel along.
    pub headers: Option<Headers>,
    /// The progress the handler stored.
    pub checkpoint: Field<Payload>,
    /// The completions.
    pub completion: CompletionChange,
    /// What the handler returned.
    pub output: Field<Payload>,
    /// The last error; a `failure` sets it by itself.
    pub last_error: Field<ErrorText>,
    /// Whether the fallback did the work.
    pub via_fallback: Option<bool>,
    /// How often the task was rerun.
    pub reruns: Option<u32>,
    /// The time after which a failure is final.
    pub give_up_at: Field<Timestamp>,
    /// The time until which an attempt must have begun.
    pub expires_at: Field<Timestamp>,
}

impl Cold {
    fn write_to(self, detail: &mut TaskDetail) {
        detail.payload = self.payload.unwrap_or_else(|| detail.payload.clone());
        detail.headers = self.headers.unwrap_or_else(|| detail.headers.clone());
        self.checkpoint.apply(&mut detail.checkpoint);
        self.output.apply(&mut detail.output);
        self.last_error.apply(&mut detail.last_error);
        self.give_up_at.apply(&mut detail.task.settings.give_up_at);
        self.expires_at.apply(&mut detail.task.settings.expires_at);
        detail.via_fallback = self.via_fallback.unwrap_or(detail.via_fallback);
        detail.task.reruns = self.reruns.unwrap_or(detail.task.reruns);
        match self.completion {
            CompletionChange::Keep => {}
            CompletionChange::Deliver(completion) => {
                (detail.completion, detail.early_completion) = (Some(completion), None);
            }
            CompletionChange::DeliverEarly => detail.completion = detail.early_completion.take(),
            CompletionChange::Clear => (detail.completion, detail.early_completion) = (None, None),
        }
    }
}

/// A change to a field that may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Field<T> {
    /// Leave it.
    #[default]
    Keep,
    /// Write this.
    Set(T),
    /// Empty it.
    Clear,
}

impl<T> Field<T> {
    /// Applies the change to a field held in memory.
    pub fn apply(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Set(value) => *field = Some(value),
            Self::Clear => *field = None,
        }
    }
}

/// A change to a task's two completions: the delivered one and the early one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CompletionChange {
    /// Leave both.
    #[default]
    Keep,
    /// Deliver this one, empty the early one.
    Deliver(Completion),
    /// Deliver the early one.
    DeliverEarly,
    /// Empty both.
    Clear,
}

impl Edit {
    /// Bytes of the texts it carries, against the bound of a call.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let inserts: usize = self.insert.iter().map(NewTask::bytes).sum();
        let own = match &self.action {
            Action::Set(change) => change.to.bytes(),
            Action::StoreCompletion(completion) => completion.outcome.bytes(),
            Action::RequestCancel | Action::Delete { .. } => 0,
        };
        inserts + own
    }
}

impl Target {
    /// Writes the new values into a record held in memory: version + 1, updated at `now`.
    pub fn write_to(&self, detail: &mut TaskDetail, now: Timestamp) {
        let task = &mut detail.task;
        (task.state, task.run_at, task.attempt, task.crashes) =
            (self.state, self.run_at, self.attempt, self.crashes);
        (task.step, task.session, task.alarm_at) = (self.step, self.session, self.alarm_at);
        (task.purge_at, task.holds_key, task.updated_at) = (self.purge_at, self.holds_key, now);
        task.version += 1;
        task.cancel_requested = self.cancel_requested.unwrap_or(task.cancel_requested);
        if let Some(failure) = &self.failure {
            detail.last_error = Some(failure.error.clone());
            detail.failures.push(failure.as_ref().clone());
            let forgotten = detail.failures.len().saturating_sub(MAX_FAILURES_KEPT);
            detail.failures.drain(..forgotten);
        }
        if let Some(cold) = &self.cold {
            cold.as_ref().clone().write_to(detail);
        }
    }

    fn bytes(&self) -> usize {
        let text = |payload: &Option<Payload>| payload.as_ref().map_or(0, Payload::len);
        let field = |field: &Field<Payload>| {
            if let Field::Set(payload) = field {
                payload.len()
            } else {
                0
            }
        };
        let cold = self.cold.as_ref().map_or(0, |cold| {
            text(&cold.payload)
                + cold.headers.as_ref().map_or(0, Headers::bytes)
                + field(&cold.checkpoint)
                + field(&cold.output)
                + if let CompletionChange::Deliver(completion) = &cold.completion {
                    completion.outcome.bytes()
                } else {
                    0
                }
        });
        cold + self
            .failure
            .as_ref()
            .map_or(0, |failure| failure.error.as_str().len())
    }
}

impl CompletionOutcome {
    fn bytes(&self) -> usize {
        match self {
            Self::Resume(data) => data.len(),
            Self::Succeed(output) => output.as_ref().map_or(0, Payload::len),
            Self::Fail(error) | Self::Retry { error, .. } => error.as_str().len(),
        }
    }
}

impl NewTask {
    /// Bytes of the texts it carries, against the bound of a call.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.payload.len() + self.headers.bytes()
    }
}

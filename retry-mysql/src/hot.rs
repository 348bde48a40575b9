//! The hot row of a task in memory: what an edit is decided on and what it writes.

use retry_core::id::{SessionId, TaskId};
use retry_core::name::{Kind, Queue, UniqueKey};
use retry_core::priority::Priority;
use retry_core::task::{Children, KeyScope, Settings, State, Target, Task};
use retry_core::time::Timestamp;

/// A row of the table of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hot {
    pub(crate) id: TaskId,
    pub(crate) queue: Queue,
    pub(crate) kind: Kind,
    pub(crate) priority: Priority,
    pub(crate) state: State,
    pub(crate) run_at: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) crashes: u32,
    pub(crate) step: u32,
    pub(crate) version: u64,
    pub(crate) last_nonce: i64,
    pub(crate) session: Option<SessionId>,
    pub(crate) cancel_requested: bool,
    pub(crate) alarm_at: Option<Timestamp>,
    pub(crate) purge_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) key: Option<UniqueKey>,
    pub(crate) holds_key: bool,
    pub(crate) parent: Option<TaskId>,
    pub(crate) children: Children,
    /// Failed attempts ever noted; the number of the last.
    pub(crate) failures: u32,
    /// Whether there is a note.
    pub(crate) noted: bool,
    /// Whether the note has an early completion.
    pub(crate) early: bool,
    /// Whether the stored body is kept apart.
    pub(crate) apart: bool,
}

impl Hot {
    /// Whether it has nothing that a task gets only later.
    pub(crate) fn is_as_born(&self) -> bool {
        let Children { total, open, failed } = self.children;
        let counts = [self.crashes, self.step, self.failures, total, open, failed];
        counts == [0; 6]
            && self.last_nonce == 0
            && self.purge_at.is_none()
            && !(self.cancel_requested || self.noted || self.early)
    }

    /// The row of a new task.
    pub(crate) fn of(task: &Task) -> Self {
        Self {
            id: task.id,
            queue: task.queue.clone(),
            kind: task.kind.clone(),
            priority: task.priority,
            state: task.state,
            run_at: task.run_at,
            attempt: task.attempt,
            crashes: task.crashes,
            step: task.step,
            version: task.version,
            last_nonce: 0,
            session: task.session,
            cancel_requested: task.cancel_requested,
            alarm_at: task.alarm_at,
            purge_at: task.purge_at,
            created_at: task.created_at,
            updated_at: task.updated_at,
            key: task.unique.as_ref().map(|(key, _)| key.clone()),
            holds_key: task.holds_key,
            parent: task.parent,
            children: task.children,
            failures: 0,
            noted: false,
            early: false,
            apart: false,
        }
    }

    /// The record, without what is written once and what is in the note: the scope of the key, the secret, the reruns.
    pub(crate) fn into_task(self, settings: Settings) -> Task {
        Task {
            id: self.id,
            kind: self.kind,
            queue: self.queue,
            priority: self.priority,
            created_at: self.created_at,
            state: self.state,
            run_at: self.run_at,
            attempt: self.attempt,
            crashes: self.crashes,
            step: self.step,
            version: self.version,
            session: self.session,
            cancel_requested: self.cancel_requested,
            alarm_at: self.alarm_at,
            purge_at: self.purge_at,
            holds_key: self.holds_key,
            updated_at: self.updated_at,
            unique: self.key.map(|key| (key, KeyScope::default())),
            parent: self.parent,
            children: self.children,
            settings,
            wait_secret: 0,
            reruns: 0,
        }
    }

    /// Whether this is `before` after the end of an attempt that changed nothing but its state and its times.
    pub(crate) fn is_plain_end_of(&self, before: &Self) -> bool {
        let ended = Self {
            state: self.state,
            session: None,
            alarm_at: self.alarm_at,
            purge_at: self.purge_at,
            updated_at: self.updated_at,
            version: before.version + 1,
            last_nonce: self.last_nonce,
            ..before.clone()
        };
        *self == ended
    }

    /// Writes the hot fields of a target: version + 1, updated at `now`.
    pub(crate) fn take(&mut self, target: &Target, nonce: i64, now: Timestamp) {
        (self.state, self.run_at, self.attempt) = (target.state, target.run_at, target.attempt);
        (self.crashes, self.step, self.session) = (target.crashes, target.step, target.session);
        (self.alarm_at, self.purge_at, self.holds_key) = (target.alarm_at, target.purge_at, target.holds_key);
        self.cancel_requested = target.cancel_requested.unwrap_or(self.cancel_requested);
        (self.version, self.last_nonce, self.updated_at) = (self.version + 1, nonce, now);
    }
}

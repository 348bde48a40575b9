//! New rows as the arrays of the statement that inserts them.

use retry_core::limits::MAX_TIMESTAMP_MILLIS;
use retry_core::task::{NewTask, Task};
use retry_core::time::Timestamp;

use crate::memo::Memo;
use crate::record;
use crate::tx::Statement;
use crate::types::Id;

/// The columns of new tasks and their bodies.
#[derive(Debug, Default)]
pub(crate) struct NewRows<'a> {
    id: Vec<Id>,
    queue: Vec<&'a str>,
    kind: Vec<&'a str>,
    level: Vec<i16>,
    state: Vec<i16>,
    run_at: Vec<i64>,
    attempt: Vec<i32>,
    version: Vec<i64>,
    session: Vec<Option<Id>>,
    alarm_at: Vec<Option<i64>>,
    unique_key: Vec<Option<&'a str>>,
    parent: Vec<Option<Id>>,
    deadline_after: Vec<Option<i64>>,
    bytes: Vec<i32>,
    wait_secret: Vec<i64>,
    key_scope: Vec<Option<i16>>,
    settings: Vec<Option<String>>,
    headers: Vec<Option<String>>,
    payload: Vec<&'a str>,
}

impl<'a> NewRows<'a> {
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self {
            id: Vec::with_capacity(rows),
            payload: Vec::with_capacity(rows),
            ..Self::default()
        }
    }

    /// Adds a task; `task` is its first record.
    pub(crate) fn push(&mut self, new: &'a NewTask, task: &Task, memo: &mut Memo) {
        self.id.push(new.id.into());
        self.queue.push(new.queue.as_str());
        self.kind.push(new.kind.as_str());
        self.level.push(record::level(task.priority, task.crashes));
        self.state.push(record::state_code(task.state));
        self.run_at.push(task.run_at.as_millis());
        self.attempt.push(record::stored_count(task.attempt));
        self.version.push(record::stored(task.version));
        self.session.push(task.session.map(Id::from));
        self.alarm_at.push(task.alarm_at.map(Timestamp::as_millis));
        self.unique_key
            .push(new.unique.as_ref().map(|unique| unique.key.as_str()));
        self.parent.push(new.parent.map(Id::from));
        self.deadline_after.push(new.settings.deadline_after.map(|span| {
            i64::try_from(span.as_millis())
                .unwrap_or(i64::MAX)
                .min(2 * MAX_TIMESTAMP_MILLIS)
        }));
        self.bytes.push(i32::try_from(new.bytes()).unwrap_or(i32::MAX));
        self.wait_secret.push(new.wait_secret.cast_signed());
        self.key_scope
            .push(new.unique.as_ref().map(|unique| record::scope_code(unique.scope)));
        self.settings.push(memo.settings_text(&new.settings));
        self.headers.push(record::headers_text(&new.headers));
        self.payload.push(new.payload.as_json());
    }

    /// Gives the columns to the statement.
    pub(crate) fn bind(self, statement: Statement, now: Timestamp) -> Statement {
        statement
            .bind(now.as_millis())
            .bind(self.id)
            .bind(self.queue)
            .bind(self.kind)
            .bind(self.level)
            .bind(self.state)
            .bind(self.run_at)
            .bind(self.attempt)
            .bind(self.version)
            .bind(self.session)
            .bind(self.alarm_at)
            .bind(self.unique_key)
            .bind(self.parent)
            .bind(self.deadline_after)
            .bind(self.bytes)
            .bind(self.wait_secret)
            .bind(self.key_scope)
            .bind(self.settings)
            .bind(self.headers)
            .bind(self.payload)
    }
}

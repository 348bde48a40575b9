//! The lines of an export: one JSON object each, in words that people read, in a form with a version of its own.
//!
//! ```text
//! {"line":"header","format":"task-retry","version":1}
//! {"line":"queue","queue":"mail","paused":true}
//! {"line":"task","id":"0192…","kind":"mail","state":"pending","payload":"{\"to\":7}",…}
//! {"line":"end","queues":1,"tasks":1,"unreadable":0}
//! ```
//!
//! Payloads, outputs, checkpoints and completions are JSON texts in strings, so that they come back byte for byte. Times
//! are milliseconds since 1970. Sessions are not told: their processes belong to the store that is exported.

use std::collections::BTreeMap;

use retry_core::headers::Headers;
use retry_core::id::{SessionId, TaskId};
use retry_core::limits::MAX_FAILURES_KEPT;
use retry_core::name::{Kind, Queue, UniqueKey};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::task::{
    Children, Completion, ErrorText, FailedAttempt, KeyScope, Settings, State, Task, TaskDetail,
};
use retry_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::{self, Body, Damage, Note, Read, Row};
use crate::settings::usual;

/// What the header names.
pub(crate) const FORMAT: &str = "task-retry";

/// The version of the form of the lines.
pub(crate) const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(crate) enum Line {
    Header(Header),
    Queue(QueueLine),
    Task(Box<TaskLine>),
    End(End),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) format: String,
    pub(crate) version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueLine {
    pub(crate) queue: Queue,
    pub(crate) paused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    pub(crate) queues: u64,
    pub(crate) tasks: u64,
    pub(crate) unreadable: u64,
}

/// A task with all that is kept about it; what is absent has the usual value.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskLine {
    id: TaskId,
    kind: Kind,
    queue: Queue,
    priority: Priority,
    state: State,
    created_at: Timestamp,
    updated_at: Timestamp,
    run_at: Timestamp,
    attempt: u32,
    crashes: u32,
    step: u32,
    version: u64,
    nonce: u64,
    reruns: u32,
    wait_secret: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    #[serde(default, skip_serializing_if = "is_default")]
    cancel_requested: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alarm_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purge_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unique: Option<UniqueLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<TaskId>,
    #[serde(default, skip_serializing_if = "is_default")]
    children: Children,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settings: Option<Settings>,
    payload: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    completion: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    early_completion: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_error: Option<ErrorText>,
    #[serde(default, skip_serializing_if = "is_default")]
    via_fallback: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failures: Vec<FailedAttempt>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UniqueLine {
    key: UniqueKey,
    scope: KeyScope,
    held: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl TaskLine {
    pub(crate) fn of(detail: TaskDetail, nonce: u64) -> Self {
        let TaskDetail { task, .. } = detail;
        let text = |payload: Payload| payload.as_json().to_owned();
        let completion = |completion: Completion| completion.to_stored();
        Self {
            id: task.id,
            kind: task.kind,
            queue: task.queue,
            priority: task.priority,
            state: task.state,
            created_at: task.created_at,
            updated_at: task.updated_at,
            run_at: task.run_at,
            attempt: task.attempt,
            crashes: task.crashes,
            step: task.step,
            version: task.version,
            nonce,
            reruns: task.reruns,
            wait_secret: task.wait_secret,
            session: task.session,
            cancel_requested: task.cancel_requested,
            alarm_at: task.alarm_at,
            purge_at: task.purge_at,
            unique: task.unique.map(|(key, scope)| UniqueLine {
                key,
                scope,
                held: task.holds_key,
            }),
            parent: task.parent,
            children: task.children,
            settings: (task.settings != usual()).then_some(task.settings),
            payload: text(detail.payload),
            headers: detail
                .headers
                .iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            checkpoint: detail.checkpoint.map(text),
            completion: detail.completion.map(completion),
            early_completion: detail.early_completion.map(completion),
            output: detail.output.map(text),
            last_error: detail.last_error,
            via_fallback: detail.via_fallback,
            failures: detail.failures,
        }
    }

    /// The row, its body, its note and its failed attempts.
    pub(crate) fn parts(self) -> Read<(Row, Body, Note, Vec<FailedAttempt>)> {
        if self.failures.len() > MAX_FAILURES_KEPT {
            return Err(Damage("more failed attempts than are kept"));
        }
        let mut headers = Headers::new();
        for (key, value) in self.headers {
            headers
                .insert(key, value)
                .map_err(|_| Damage("the headers are empty, too large, or contain U+0000"))?;
        }
        let note = Note {
            checkpoint: self.checkpoint.map(Payload::from_stored),
            completion: completion(self.completion)?,
            early: completion(self.early_completion)?,
            output: self.output.map(Payload::from_stored),
            last_error: self.last_error,
            via_fallback: self.via_fallback,
            failures: 0,
        };
        let body = Body {
            payload: Payload::from_stored(self.payload),
            headers,
        };
        let task = Task {
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
            holds_key: self.unique.as_ref().is_some_and(|unique| unique.held),
            updated_at: self.updated_at,
            unique: self.unique.map(|unique| (unique.key, unique.scope)),
            parent: self.parent,
            children: self.children,
            settings: self.settings.unwrap_or_else(usual),
            wait_secret: self.wait_secret,
            reruns: self.reruns,
        };
        record::check(&task)?;
        let row = Row {
            task,
            nonce: self.nonce,
            noted: false,
            body: None,
        };
        Ok((row, body, note, self.failures))
    }
}

fn completion(text: Option<String>) -> Read<Option<Completion>> {
    text.map(|text| Completion::from_stored(&text))
        .transpose()
        .map_err(|_| Damage("a completion is damaged"))
}

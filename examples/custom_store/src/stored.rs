//! The lines of the file: what a call changed, in forms of the store's own, so that the file outlives changes of the
//! library's types.

use retry_core::headers::Headers;
use retry_core::id::{SessionId, TaskId};
use retry_core::name::{Kind, Queue, UniqueKey, WorkerName};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{Session, SessionInfo};
use retry_core::task::{
    Children, ClaimedTask, Completion, ErrorText, FailedAttempt, KeyScope, Settings, State, Task, TaskDetail,
};
use retry_core::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rows::{Presence, Row, Rows};

/// What one call changed.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Line {
    tasks: Vec<StoredTask>,
    forgotten: Vec<TaskId>,
    sessions: Vec<StoredSession>,
    ended: Vec<SessionId>,
    /// Queues with whether they are paused.
    queues: Vec<(Queue, bool)>,
}

impl Line {
    pub(crate) fn of(rows: &Rows) -> Self {
        let mut line = Self::default();
        for (id, row) in rows.changed_tasks() {
            match row {
                Some(row) => line.tasks.push(StoredTask::of(row)),
                None => line.forgotten.push(id),
            }
        }
        for (id, presence) in rows.changed_sessions() {
            match presence {
                Some(presence) => line.sessions.push(StoredSession::of(presence)),
                None => line.ended.push(id),
            }
        }
        let queues = rows.changed_queues();
        line.queues = queues.map(|(queue, paused)| (queue.clone(), paused)).collect();
        line
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
            && self.forgotten.is_empty()
            && self.sessions.is_empty()
            && self.ended.is_empty()
            && self.queues.is_empty()
    }

    /// Makes the change again.
    pub(crate) fn apply(self, rows: &mut Rows) {
        self.tasks.into_iter().for_each(|task| rows.put(task.row()));
        self.forgotten.into_iter().for_each(|id| rows.remove(id));
        self.sessions
            .into_iter()
            .for_each(|session| rows.put_session(session.presence()));
        self.ended.into_iter().for_each(|id| rows.remove_session(id));
        self.queues
            .iter()
            .for_each(|(queue, paused)| rows.pause(queue, *paused));
    }
}

/// JSON text kept as a string, so that it comes back byte for byte (law 12).
#[derive(Debug)]
struct Text(Payload);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_json())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Payload::from_stored(text)))
    }
}

/// A completion in the library's own stored form.
#[derive(Debug)]
struct StoredCompletion(Completion);

impl Serialize for StoredCompletion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_stored())
    }
}

impl<'de> Deserialize<'de> for StoredCompletion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Completion::from_stored(&text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredTask {
    id: TaskId,
    kind: Kind,
    queue: Queue,
    priority: Priority,
    created_at: Timestamp,
    state: State,
    run_at: Timestamp,
    attempt: u32,
    crashes: u32,
    step: u32,
    version: u64,
    nonce: u64,
    session: Option<SessionId>,
    cancel_requested: bool,
    alarm_at: Option<Timestamp>,
    purge_at: Option<Timestamp>,
    holds_key: bool,
    updated_at: Timestamp,
    unique: Option<(UniqueKey, KeyScope)>,
    parent: Option<TaskId>,
    children: Children,
    settings: Settings,
    wait_secret: u64,
    reruns: u32,
    payload: Text,
    headers: Headers,
    checkpoint: Option<Text>,
    completion: Option<StoredCompletion>,
    early_completion: Option<StoredCompletion>,
    output: Option<Text>,
    last_error: Option<ErrorText>,
    via_fallback: bool,
    failures: Vec<FailedAttempt>,
}

impl StoredTask {
    fn of(row: &Row) -> Self {
        let detail = row.detail.clone();
        let task = detail.task;
        Self {
            id: task.id,
            kind: task.kind,
            queue: task.queue,
            priority: task.priority,
            created_at: task.created_at,
            state: task.state,
            run_at: task.run_at,
            attempt: task.attempt,
            crashes: task.crashes,
            step: task.step,
            version: task.version,
            nonce: row.nonce,
            session: task.session,
            cancel_requested: task.cancel_requested,
            alarm_at: task.alarm_at,
            purge_at: task.purge_at,
            holds_key: task.holds_key,
            updated_at: task.updated_at,
            unique: task.unique,
            parent: task.parent,
            children: task.children,
            settings: task.settings,
            wait_secret: task.wait_secret,
            reruns: task.reruns,
            payload: Text(detail.payload),
            headers: detail.headers,
            checkpoint: detail.checkpoint.map(Text),
            completion: detail.completion.map(StoredCompletion),
            early_completion: detail.early_completion.map(StoredCompletion),
            output: detail.output.map(Text),
            last_error: detail.last_error,
            via_fallback: detail.via_fallback,
            failures: detail.failures,
        }
    }

    fn row(self) -> Row {
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
            holds_key: self.holds_key,
            updated_at: self.updated_at,
            unique: self.unique,
            parent: self.parent,
            children: self.children,
            settings: self.settings,
            wait_secret: self.wait_secret,
            reruns: self.reruns,
        };
        let mut detail = TaskDetail::new(ClaimedTask {
            task,
            payload: self.payload.0,
            headers: self.headers,
            checkpoint: self.checkpoint.map(|text| text.0),
            completion: self.completion.map(|stored| stored.0),
        });
        detail.early_completion = self.early_completion.map(|stored| stored.0);
        detail.output = self.output.map(|text| text.0);
        detail.last_error = self.last_error;
        detail.via_fallback = self.via_fallback;
        detail.failures = self.failures;
        Row {
            detail,
            nonce: self.nonce,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredSession {
    id: SessionId,
    name: WorkerName,
    host: String,
    queues: Vec<Queue>,
    kinds: Vec<Kind>,
    lease_until: Timestamp,
    lost: bool,
    closed: bool,
}

impl StoredSession {
    fn of(presence: &Presence) -> Self {
        let Session {
            info,
            lease_until,
            lost,
            ..
        } = presence.session.clone();
        Self {
            id: info.id,
            name: info.name,
            host: info.host,
            queues: info.queues,
            kinds: info.kinds,
            lease_until,
            lost,
            closed: presence.closed,
        }
    }

    fn presence(self) -> Presence {
        let info = SessionInfo {
            id: self.id,
            name: self.name,
            host: self.host,
            queues: self.queues,
            kinds: self.kinds,
        };
        Presence {
            session: Session::new(info, self.lease_until, self.lost),
            closed: self.closed,
        }
    }
}

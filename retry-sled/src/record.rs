//! Rows, bodies, notes and sessions as bytes: `bincode` behind a one-byte format version, decoded under a limit.
//!
//! What does not read back as a sound record is [`Damage`], never a panic and never a guess.

use std::collections::BTreeMap;

use bincode::config::{Config, standard};
use retry_core::headers::Headers;
use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{MAX_COUNT, MAX_VERSION};
use retry_core::name::{Kind, Queue, UniqueKey, WorkerName};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{Session, SessionInfo};
use retry_core::task::{Children, Completion, ErrorText, FailedAttempt, KeyScope, State, Task};
use retry_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::settings::{self, StoredSettings};

/// The first byte of every record. Another one was written by a newer version of the store, or is damage.
const FORMAT: u8 = 1;

/// More than the largest record has: a damaged length must not take all memory.
const LIMIT: usize = 16 * 1024 * 1024;

/// Why a record cannot be read, without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) &'static str);

pub(crate) type Read<T> = Result<T, Damage>;

/// What a handler gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) payload: Payload,
    pub(crate) headers: Headers,
}

/// A stored task: all that its state machine and its indexes need, and a small body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) task: Task,
    pub(crate) nonce: u64,
    /// It has a note.
    pub(crate) noted: bool,
    /// A small body; a large one has a record of its own.
    pub(crate) body: Option<Body>,
}

/// What few tasks have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Note {
    pub(crate) checkpoint: Option<Payload>,
    pub(crate) completion: Option<Completion>,
    pub(crate) early: Option<Completion>,
    pub(crate) output: Option<Payload>,
    pub(crate) last_error: Option<ErrorText>,
    pub(crate) via_fallback: bool,
    /// Failed attempts ever recorded, also those forgotten.
    pub(crate) failures: u32,
}

/// A stored session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) session: Session,
    /// Closed by its worker, or its process is gone.
    pub(crate) dead: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredBody<'a> {
    #[serde(borrow)]
    payload: &'a str,
    headers: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize, Deserialize)]
struct StoredRow<'a> {
    #[serde(borrow)]
    kind: &'a str,
    queue: &'a str,
    priority: u8,
    state: u8,
    created_at: i64,
    run_at: i64,
    attempt: u32,
    crashes: u32,
    step: u32,
    version: u64,
    nonce: u64,
    session: Option<[u8; 16]>,
    cancel_requested: bool,
    alarm_at: Option<i64>,
    purge_at: Option<i64>,
    holds_key: bool,
    updated_at: i64,
    unique: Option<(&'a str, bool)>,
    parent: Option<[u8; 16]>,
    /// total, open, failed; nothing for a task that never had children.
    children: Option<(u32, u32, u32)>,
    /// Nothing for the usual ones.
    settings: Option<StoredSettings>,
    wait_secret: u64,
    reruns: u32,
    noted: bool,
    body: Option<StoredBody<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StoredNote<'a> {
    #[serde(borrow)]
    checkpoint: Option<&'a str>,
    completion: Option<String>,
    early: Option<String>,
    output: Option<&'a str>,
    last_error: Option<&'a str>,
    via_fallback: bool,
    failures: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredFailure<'a> {
    attempt: u32,
    #[serde(borrow)]
    worker: Option<&'a str>,
    started_at: i64,
    ended_at: i64,
    error: &'a str,
}

#[derive(Serialize, Deserialize)]
struct StoredSession<'a> {
    #[serde(borrow)]
    name: &'a str,
    host: &'a str,
    queues: Vec<&'a str>,
    kinds: Vec<&'a str>,
    lease_until: i64,
    lost: bool,
    dead: bool,
}

const fn config() -> impl Config {
    standard().with_limit::<LIMIT>()
}

fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160);
    bytes.push(FORMAT);
    match bincode::serde::encode_into_std_write(record, &mut bytes, config()) {
        Ok(_) => bytes,
        // Structs of numbers and texts, written into memory.
        Err(error) => unreachable!("a record always encodes: {error}"),
    }
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Read<T> {
    let Some((&FORMAT, record)) = bytes.split_first() else {
        return Err(Damage("the record has an unknown format"));
    };
    match bincode::serde::borrow_decode_from_slice(record, config()) {
        Ok((value, read)) if read == record.len() => Ok(value),
        Ok(_) => Err(Damage("bytes follow the record")),
        Err(_) => Err(Damage("the record cannot be decoded")),
    }
}

impl Body {
    /// Up to so many bytes of payload and headers live in the row: less to write at an insert and to read at a claim
    /// than the larger row costs when it is written again.
    const SMALL: usize = 512;

    pub(crate) fn is_small(&self) -> bool {
        self.payload.len() + self.headers.bytes() <= Self::SMALL
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(&self.stored())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Read<Self> {
        Self::from_stored(decode(bytes)?)
    }

    fn stored(&self) -> StoredBody<'_> {
        StoredBody {
            payload: self.payload.as_json(),
            headers: self.headers.iter().collect(),
        }
    }

    fn from_stored(stored: StoredBody<'_>) -> Read<Self> {
        let mut headers = Headers::new();
        for (key, value) in stored.headers {
            headers
                .insert(key, value)
                .map_err(|_| Damage("the headers are damaged"))?;
        }
        Ok(Self {
            payload: Payload::from_stored(stored.payload),
            headers,
        })
    }
}

impl Row {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let task = &self.task;
        let Children { total, open, failed } = task.children;
        encode(&StoredRow {
            kind: task.kind.as_str(),
            queue: task.queue.as_str(),
            priority: task.priority.code(),
            state: task.state.code(),
            created_at: task.created_at.as_millis(),
            run_at: task.run_at.as_millis(),
            attempt: task.attempt,
            crashes: task.crashes,
            step: task.step,
            version: task.version,
            nonce: self.nonce,
            session: task.session.map(SessionId::to_bytes),
            cancel_requested: task.cancel_requested,
            alarm_at: task.alarm_at.map(Timestamp::as_millis),
            purge_at: task.purge_at.map(Timestamp::as_millis),
            holds_key: task.holds_key,
            updated_at: task.updated_at.as_millis(),
            unique: task
                .unique
                .as_ref()
                .map(|(key, scope)| (key.as_str(), *scope == KeyScope::UntilPurged)),
            parent: task.parent.map(TaskId::to_bytes),
            children: (task.children != Children::default()).then_some((total, open, failed)),
            settings: StoredSettings::unless_usual(&task.settings),
            wait_secret: task.wait_secret,
            reruns: task.reruns,
            noted: self.noted,
            body: self.body.as_ref().map(Body::stored),
        })
    }

    pub(crate) fn decode(id: TaskId, bytes: &[u8]) -> Read<Self> {
        let stored: StoredRow<'_> = decode(bytes)?;
        let (total, open, failed) = stored.children.unwrap_or_default();
        let task = Task {
            id,
            kind: Kind::new(stored.kind).map_err(|_| Damage("the kind is no name"))?,
            queue: Queue::new(stored.queue).map_err(|_| Damage("the queue is no name"))?,
            priority: Priority::from_code(stored.priority).ok_or(Damage("there is no such priority"))?,
            created_at: Timestamp::from_millis(stored.created_at),
            state: State::from_code(stored.state).ok_or(Damage("there is no such state"))?,
            run_at: Timestamp::from_millis(stored.run_at),
            attempt: stored.attempt,
            crashes: stored.crashes,
            step: stored.step,
            version: stored.version,
            session: stored.session.map(SessionId::from_bytes),
            cancel_requested: stored.cancel_requested,
            alarm_at: stored.alarm_at.map(Timestamp::from_millis),
            purge_at: stored.purge_at.map(Timestamp::from_millis),
            holds_key: stored.holds_key,
            updated_at: Timestamp::from_millis(stored.updated_at),
            unique: stored.unique.map(unique).transpose()?,
            parent: stored.parent.map(TaskId::from_bytes),
            children: Children { total, open, failed },
            settings: match stored.settings {
                Some(stored) => stored.settings().ok_or(Damage("the settings are damaged"))?,
                None => settings::usual(),
            },
            wait_secret: stored.wait_secret,
            reruns: stored.reruns,
        };
        check(&task)?;
        Ok(Self {
            task,
            nonce: stored.nonce,
            noted: stored.noted,
            body: stored.body.map(Body::from_stored).transpose()?,
        })
    }
}

fn unique((key, until_purged): (&str, bool)) -> Read<(UniqueKey, KeyScope)> {
    let key = UniqueKey::new(key).map_err(|_| Damage("the unique key is not one"))?;
    let scope = if until_purged {
        KeyScope::UntilPurged
    } else {
        KeyScope::Active
    };
    Ok((key, scope))
}

/// What holds for every sound task, whoever wrote it.
pub(crate) fn check(task: &Task) -> Read<()> {
    if (task.state == State::Running) != task.session.is_some() {
        return Err(Damage("the session contradicts the state"));
    }
    if task.holds_key && task.unique.is_none() {
        return Err(Damage("it holds a key that it does not have"));
    }
    if task.purge_at.is_some() && !task.state.is_final() {
        return Err(Damage("the purge time contradicts the state"));
    }
    let Children { total, open, failed } = task.children;
    let counts = [
        task.attempt,
        task.crashes,
        task.step,
        task.reruns,
        total,
        open,
        failed,
    ];
    if counts.iter().any(|count| *count > MAX_COUNT) || task.version > MAX_VERSION {
        return Err(Damage("a count is out of range"));
    }
    Ok(())
}

impl Note {
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(&StoredNote {
            checkpoint: self.checkpoint.as_ref().map(Payload::as_json),
            completion: self.completion.as_ref().map(Completion::to_stored),
            early: self.early.as_ref().map(Completion::to_stored),
            output: self.output.as_ref().map(Payload::as_json),
            last_error: self.last_error.as_ref().map(ErrorText::as_str),
            via_fallback: self.via_fallback,
            failures: self.failures,
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Read<Self> {
        let stored: StoredNote<'_> = decode(bytes)?;
        Ok(Self {
            checkpoint: stored.checkpoint.map(Payload::from_stored),
            completion: completion(stored.completion)?,
            early: completion(stored.early)?,
            output: stored.output.map(Payload::from_stored),
            last_error: stored.last_error.map(ErrorText::new),
            via_fallback: stored.via_fallback,
            failures: stored.failures,
        })
    }
}

fn completion(text: Option<String>) -> Read<Option<Completion>> {
    text.map(|text| Completion::from_stored(&text))
        .transpose()
        .map_err(|_| Damage("a completion is damaged"))
}

pub(crate) fn encode_failure(failure: &FailedAttempt) -> Vec<u8> {
    encode(&StoredFailure {
        attempt: failure.attempt,
        worker: failure.worker.as_ref().map(WorkerName::as_str),
        started_at: failure.started_at.as_millis(),
        ended_at: failure.ended_at.as_millis(),
        error: failure.error.as_str(),
    })
}

pub(crate) fn decode_failure(bytes: &[u8]) -> Read<FailedAttempt> {
    let stored: StoredFailure<'_> = decode(bytes)?;
    Ok(FailedAttempt {
        attempt: stored.attempt,
        worker: stored
            .worker
            .map(WorkerName::new)
            .transpose()
            .map_err(|_| Damage("the worker's name is no name"))?,
        started_at: Timestamp::from_millis(stored.started_at),
        ended_at: Timestamp::from_millis(stored.ended_at),
        error: ErrorText::new(stored.error),
    })
}

impl SessionRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Session {
            info,
            lease_until,
            lost,
            ..
        } = &self.session;
        encode(&StoredSession {
            name: info.name.as_str(),
            host: &info.host,
            queues: info.queues.iter().map(Queue::as_str).collect(),
            kinds: info.kinds.iter().map(Kind::as_str).collect(),
            lease_until: lease_until.as_millis(),
            lost: *lost,
            dead: self.dead,
        })
    }

    pub(crate) fn decode(id: SessionId, bytes: &[u8]) -> Read<Self> {
        let stored: StoredSession<'_> = decode(bytes)?;
        let no_name = |_| Damage("a name is no name");
        let info = SessionInfo {
            id,
            name: WorkerName::new(stored.name).map_err(no_name)?,
            host: stored.host.to_owned(),
            queues: stored
                .queues
                .into_iter()
                .map(Queue::new)
                .collect::<Result<_, _>>()
                .map_err(no_name)?,
            kinds: stored
                .kinds
                .into_iter()
                .map(Kind::new)
                .collect::<Result<_, _>>()
                .map_err(no_name)?,
        };
        let lease_until = Timestamp::from_millis(stored.lease_until);
        Ok(Self {
            session: Session::new(info, lease_until, stored.lost),
            dead: stored.dead,
        })
    }
}

#[cfg(test)]
#[path = "record_test.rs"]
mod tests;

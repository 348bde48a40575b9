//! Rows and records: every column is checked when it is read, so that damage is a report and never a wrong task.

use retry_core::headers::Headers;
use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{MAX_COUNT, MAX_TIMESTAMP_MILLIS, MAX_VERSION};
use retry_core::name::{Kind, UniqueKey};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::BadRecord;
use retry_core::task::{Children, Completion, ErrorText, KeyScope, State, Task};
use retry_core::time::Timestamp;
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::memo::Memo;

/// Where the columns of a task stand in every statement that reads whole tasks.
pub(crate) mod at {
    pub(crate) const ID: usize = 0;
    pub(crate) const QUEUE: usize = 1;
    pub(crate) const KIND: usize = 2;
    pub(crate) const LEVEL: usize = 3;
    pub(crate) const STATE: usize = 4;
    pub(crate) const RUN_AT: usize = 5;
    pub(crate) const ATTEMPT: usize = 6;
    pub(crate) const CRASHES: usize = 7;
    pub(crate) const STEP: usize = 8;
    pub(crate) const VERSION: usize = 9;
    pub(crate) const SESSION: usize = 10;
    pub(crate) const CANCEL_REQUESTED: usize = 11;
    pub(crate) const ALARM_AT: usize = 12;
    pub(crate) const PURGE_AT: usize = 13;
    pub(crate) const CREATED_AT: usize = 14;
    pub(crate) const UPDATED_AT: usize = 15;
    pub(crate) const UNIQUE_KEY: usize = 16;
    pub(crate) const HOLDS_KEY: usize = 17;
    pub(crate) const PARENT: usize = 18;
    pub(crate) const TOTAL: usize = 19;
    pub(crate) const OPEN: usize = 20;
    pub(crate) const FAILED: usize = 21;
    pub(crate) const NUMBER: usize = 22;
    pub(crate) const NOTED: usize = 23;
    pub(crate) const SETTINGS: usize = 24;
    pub(crate) const KEY_SCOPE: usize = 25;
    pub(crate) const WAIT_SECRET: usize = 26;
    pub(crate) const RERUNS: usize = 27;
    /// Where a statement's own columns begin.
    pub(crate) const MORE: usize = 28;
}

/// What is wrong with a row, without its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) &'static str);

pub(crate) type Read<T> = Result<T, Damage>;

/// The level of the ready index: the priority, and whether the last lease was lost.
pub(crate) fn level(priority: Priority, crashes: u32) -> i64 {
    i64::from(priority.code()) * 2 + i64::from(crashes > 0)
}

/// The two halves of a level; none if there is no such level.
pub(crate) fn lane_of(level: i64) -> Option<(Priority, bool)> {
    let code = u8::try_from(level).ok()?;
    Some((Priority::from_code(code / 2)?, code % 2 == 1))
}

/// A number up to 2⁵³ as SQLite keeps it.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn value<'r>(row: &'r Row<'_>, column: usize) -> Read<ValueRef<'r>> {
    row.get_ref(column).map_err(|_| Damage("a column is missing"))
}

/// A whole number.
pub(crate) fn int(row: &Row<'_>, column: usize) -> Read<i64> {
    value(row, column)?
        .as_i64()
        .map_err(|_| Damage("a number is missing"))
}

/// A whole number that may be absent.
pub(crate) fn opt_int(row: &Row<'_>, column: usize) -> Read<Option<i64>> {
    value(row, column)?
        .as_i64_or_null()
        .map_err(|_| Damage("a number has another type"))
}

/// A text that may be absent.
pub(crate) fn opt_text<'r>(row: &'r Row<'_>, column: usize) -> Read<Option<&'r str>> {
    value(row, column)?
        .as_str_or_null()
        .map_err(|_| Damage("a text is not UTF-8"))
}

/// A text.
pub(crate) fn text<'r>(row: &'r Row<'_>, column: usize) -> Read<&'r str> {
    opt_text(row, column)?.ok_or(Damage("a text is missing"))
}

/// The 16 bytes of an id.
pub(crate) fn id(row: &Row<'_>, column: usize) -> Read<[u8; 16]> {
    opt_id(row, column)?.ok_or(Damage("an id is missing"))
}

/// The 16 bytes of an id that may be absent.
pub(crate) fn opt_id(row: &Row<'_>, column: usize) -> Read<Option<[u8; 16]>> {
    let wrong = Damage("an id does not have 16 bytes");
    let bytes = value(row, column)?.as_blob_or_null().map_err(|_| wrong.clone())?;
    bytes
        .map(|bytes| <[u8; 16]>::try_from(bytes).map_err(|_| wrong))
        .transpose()
}

/// A flag.
pub(crate) fn flag(row: &Row<'_>, column: usize) -> Read<bool> {
    match int(row, column)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Damage("a flag is neither 0 nor 1")),
    }
}

/// A count: attempts, crashes, steps, children.
pub(crate) fn count(row: &Row<'_>, column: usize) -> Read<u32> {
    u32::try_from(int(row, column)?)
        .ok()
        .filter(|n| *n <= MAX_COUNT)
        .ok_or(Damage("a count is out of range"))
}

/// A version.
pub(crate) fn version(row: &Row<'_>, column: usize) -> Read<u64> {
    u64::try_from(int(row, column)?)
        .ok()
        .filter(|n| *n <= MAX_VERSION)
        .ok_or(Damage("the version is out of range"))
}

/// A state.
pub(crate) fn state(row: &Row<'_>, column: usize) -> Read<State> {
    u8::try_from(int(row, column)?)
        .ok()
        .and_then(State::from_code)
        .ok_or(Damage("there is no such state"))
}

fn checked_time(millis: i64) -> Read<Timestamp> {
    if (-MAX_TIMESTAMP_MILLIS..=MAX_TIMESTAMP_MILLIS).contains(&millis) {
        Ok(Timestamp::from_millis(millis))
    } else {
        Err(Damage("a time is out of range"))
    }
}

/// A time.
pub(crate) fn time(row: &Row<'_>, column: usize) -> Read<Timestamp> {
    checked_time(int(row, column)?)
}

/// A time that may be absent.
pub(crate) fn opt_time(row: &Row<'_>, column: usize) -> Read<Option<Timestamp>> {
    opt_int(row, column)?.map(checked_time).transpose()
}

/// A payload, output or checkpoint that may be absent.
pub(crate) fn opt_payload(row: &Row<'_>, column: usize) -> Read<Option<Payload>> {
    Ok(opt_text(row, column)?.map(Payload::from_stored))
}

/// A payload.
pub(crate) fn payload(row: &Row<'_>, column: usize) -> Read<Payload> {
    opt_payload(row, column)?.ok_or(Damage("the body is missing"))
}

/// The headers; none are stored as NULL.
pub(crate) fn headers(row: &Row<'_>, column: usize) -> Read<Headers> {
    let Some(text) = opt_text(row, column)? else {
        return Ok(Headers::new());
    };
    serde_json::from_str(text).map_err(|_| Damage("the headers are damaged"))
}

/// The stored form of headers.
pub(crate) fn headers_text(headers: &Headers) -> Option<String> {
    // Texts always serialize.
    (!headers.is_empty()).then(|| serde_json::to_string(headers).unwrap_or_default())
}

/// A completion that may be absent.
pub(crate) fn opt_completion(row: &Row<'_>, column: usize) -> Read<Option<Completion>> {
    opt_text(row, column)?
        .map(Completion::from_stored)
        .transpose()
        .map_err(|_| Damage("a completion is damaged"))
}

/// The last error, that may be absent.
pub(crate) fn opt_error(row: &Row<'_>, column: usize) -> Read<Option<ErrorText>> {
    Ok(opt_text(row, column)?.map(ErrorText::new))
}

/// A unique key as it is stored: behind its kind, within which it is unique.
pub(crate) fn key_text(kind: &Kind, key: &UniqueKey) -> String {
    format!("{} {}", kind.as_str(), key.as_str())
}

/// The key in the stored text: a kind has no space.
pub(crate) fn key_alone(stored: &str) -> &str {
    stored.split_once(' ').map_or(stored, |(_, key)| key)
}

/// The number of a key scope.
pub(crate) const fn scope_code(scope: KeyScope) -> i64 {
    match scope {
        KeyScope::Active => 0,
        KeyScope::UntilPurged => 1,
    }
}

fn unique(row: &Row<'_>) -> Read<Option<(UniqueKey, KeyScope)>> {
    let Some(key) = opt_text(row, at::UNIQUE_KEY)? else {
        return Ok(None);
    };
    let key = UniqueKey::new(key_alone(key)).map_err(|_| Damage("the unique key is not one"))?;
    match opt_int(row, at::KEY_SCOPE)? {
        Some(0) => Ok(Some((key, KeyScope::Active))),
        Some(1) => Ok(Some((key, KeyScope::UntilPurged))),
        _ => Err(Damage("there is no such key scope")),
    }
}

/// The whole task in the first columns of a row.
pub(crate) fn task(row: &Row<'_>, memo: &mut Memo) -> Read<Task> {
    let (priority, suspect) = lane_of(int(row, at::LEVEL)?).ok_or(Damage("there is no such level"))?;
    let wait_secret = opt_int(row, at::WAIT_SECRET)?.ok_or(Damage("the body is missing"))?;
    let task = Task {
        id: TaskId::from_bytes(id(row, at::ID)?),
        kind: memo
            .kind(text(row, at::KIND)?)
            .ok_or(Damage("the kind is no name"))?,
        queue: memo
            .queue(text(row, at::QUEUE)?)
            .ok_or(Damage("the queue is no name"))?,
        priority,
        created_at: time(row, at::CREATED_AT)?,
        state: state(row, at::STATE)?,
        run_at: time(row, at::RUN_AT)?,
        attempt: count(row, at::ATTEMPT)?,
        crashes: count(row, at::CRASHES)?,
        step: count(row, at::STEP)?,
        version: version(row, at::VERSION)?,
        session: opt_id(row, at::SESSION)?.map(SessionId::from_bytes),
        cancel_requested: flag(row, at::CANCEL_REQUESTED)?,
        alarm_at: opt_time(row, at::ALARM_AT)?,
        purge_at: opt_time(row, at::PURGE_AT)?,
        holds_key: flag(row, at::HOLDS_KEY)?,
        updated_at: time(row, at::UPDATED_AT)?,
        unique: unique(row)?,
        parent: opt_id(row, at::PARENT)?.map(TaskId::from_bytes),
        children: Children {
            total: count(row, at::TOTAL)?,
            open: count(row, at::OPEN)?,
            failed: count(row, at::FAILED)?,
        },
        settings: memo
            .settings(opt_text(row, at::SETTINGS)?)
            .ok_or(Damage("the settings are damaged"))?,
        wait_secret: wait_secret.cast_unsigned(),
        reruns: u32::try_from(opt_int(row, at::RERUNS)?.unwrap_or(0))
            .map_err(|_| Damage("a count is out of range"))?,
    };
    if task.is_suspect() != suspect {
        return Err(Damage("the level contradicts the crashes"));
    }
    if (task.state == State::Running) != task.session.is_some() {
        return Err(Damage("the session contradicts the state"));
    }
    Ok(task)
}

/// The report of a row that cannot be read; an id that is no id is cut or filled with zeros.
pub(crate) fn bad(row: &Row<'_>, damage: &Damage) -> BadRecord {
    let mut id = [0; 16];
    for (byte, stored) in id.iter_mut().zip(raw_id(row)) {
        *byte = stored;
    }
    BadRecord {
        id: TaskId::from_bytes(id),
        version: version(row, at::VERSION).unwrap_or(0),
        reason: damage.0.to_owned(),
    }
}

/// The id as it is stored, whatever that is.
pub(crate) fn raw_id(row: &Row<'_>) -> Vec<u8> {
    value(row, at::ID)
        .ok()
        .and_then(|value| value.as_bytes().ok().map(<[u8]>::to_vec))
        .unwrap_or_default()
}

//! Rows and records: every column is checked when it is read, so that damage is a report and never a wrong task.

use retry_core::headers::Headers;
use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{MAX_COUNT, MAX_TIMESTAMP_MILLIS, MAX_VERSION};
use retry_core::name::UniqueKey;
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::BadRecord;
use retry_core::task::{Children, Completion, ErrorText, KeyScope, State, Task};
use retry_core::time::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row as _, Type};

use crate::memo::Memo;
use crate::types::Id;

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
    pub(crate) const SETTINGS: usize = 22;
    pub(crate) const KEY_SCOPE: usize = 23;
    pub(crate) const WAIT_SECRET: usize = 24;
    pub(crate) const RERUNS: usize = 25;
    /// Where a statement's own columns begin.
    pub(crate) const MORE: usize = 26;
}

/// What is wrong with a row, without its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) &'static str);

pub(crate) type Read<T> = Result<T, Damage>;

/// The level of the ready index: the priority, and whether the last lease was lost.
pub(crate) fn level(priority: Priority, crashes: u32) -> i16 {
    i16::from(priority.code()) * 2 + i16::from(crashes > 0)
}

/// The two halves of a level; none if there is no such level.
pub(crate) fn lane_of(level: i16) -> Option<(Priority, bool)> {
    let code = u8::try_from(level).ok()?;
    Some((Priority::from_code(code / 2)?, code % 2 == 1))
}

/// A number up to 2⁵³ as it is kept.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count as it is kept.
pub(crate) fn stored_count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A number of rows as a limit.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A column as the driver reads it.
pub(crate) fn value<'r, T>(row: &'r PgRow, column: usize) -> Read<T>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get_unchecked(column)
        .map_err(|_| Damage("a column has another type, or none of its values"))
}

/// A count: attempts, crashes, steps, children.
pub(crate) fn count(row: &PgRow, column: usize) -> Read<u32> {
    u32::try_from(value::<i32>(row, column)?)
        .ok()
        .filter(|n| *n <= MAX_COUNT)
        .ok_or(Damage("a count is out of range"))
}

/// A version or nonce.
pub(crate) fn version(row: &PgRow, column: usize) -> Read<u64> {
    u64::try_from(value::<i64>(row, column)?)
        .ok()
        .filter(|n| *n <= MAX_VERSION)
        .ok_or(Damage("the version is out of range"))
}

/// A state.
pub(crate) fn state(row: &PgRow, column: usize) -> Read<State> {
    u8::try_from(value::<i16>(row, column)?)
        .ok()
        .and_then(State::from_code)
        .ok_or(Damage("there is no such state"))
}

/// The number of a state.
pub(crate) fn state_code(state: State) -> i16 {
    i16::from(state.code())
}

fn checked_time(millis: i64) -> Read<Timestamp> {
    if (-MAX_TIMESTAMP_MILLIS..=MAX_TIMESTAMP_MILLIS).contains(&millis) {
        Ok(Timestamp::from_millis(millis))
    } else {
        Err(Damage("a time is out of range"))
    }
}

/// A time.
pub(crate) fn time(row: &PgRow, column: usize) -> Read<Timestamp> {
    checked_time(value(row, column)?)
}

/// A time that may be absent.
pub(crate) fn opt_time(row: &PgRow, column: usize) -> Read<Option<Timestamp>> {
    value::<Option<i64>>(row, column)?.map(checked_time).transpose()
}

/// The id of a task.
pub(crate) fn task_id(row: &PgRow, column: usize) -> Read<TaskId> {
    Ok(value::<Id>(row, column)?.into())
}

/// The id of a task that may be absent.
pub(crate) fn opt_task_id(row: &PgRow, column: usize) -> Read<Option<TaskId>> {
    Ok(value::<Option<Id>>(row, column)?.map(TaskId::from))
}

/// The id of a session that may be absent.
pub(crate) fn opt_session(row: &PgRow, column: usize) -> Read<Option<SessionId>> {
    Ok(value::<Option<Id>>(row, column)?.map(SessionId::from))
}

/// A payload, output or checkpoint that may be absent.
pub(crate) fn opt_payload(row: &PgRow, column: usize) -> Read<Option<Payload>> {
    Ok(value::<Option<&str>>(row, column)?.map(Payload::from_stored))
}

/// A payload.
pub(crate) fn payload(row: &PgRow, column: usize) -> Read<Payload> {
    opt_payload(row, column)?.ok_or(Damage("the body is missing"))
}

/// The headers; none are stored as NULL.
pub(crate) fn headers(row: &PgRow, column: usize) -> Read<Headers> {
    let Some(text) = value::<Option<&str>>(row, column)? else {
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
pub(crate) fn opt_completion(row: &PgRow, column: usize) -> Read<Option<Completion>> {
    value::<Option<&str>>(row, column)?
        .map(Completion::from_stored)
        .transpose()
        .map_err(|_| Damage("a completion is damaged"))
}

/// The last error, that may be absent.
pub(crate) fn opt_error(row: &PgRow, column: usize) -> Read<Option<ErrorText>> {
    Ok(value::<Option<&str>>(row, column)?.map(ErrorText::new))
}

/// Whether the fallback did the work; most tasks have no such column filled.
pub(crate) fn via_fallback(row: &PgRow, column: usize) -> Read<bool> {
    Ok(value::<Option<bool>>(row, column)?.unwrap_or(false))
}

/// The number of a key scope.
pub(crate) const fn scope_code(scope: KeyScope) -> i16 {
    match scope {
        KeyScope::Active => 0,
        KeyScope::UntilPurged => 1,
    }
}

fn unique(row: &PgRow) -> Read<Option<(UniqueKey, KeyScope)>> {
    let Some(key) = value::<Option<&str>>(row, at::UNIQUE_KEY)? else {
        return Ok(None);
    };
    let key = UniqueKey::new(key).map_err(|_| Damage("the unique key is not one"))?;
    match value::<Option<i16>>(row, at::KEY_SCOPE)? {
        Some(0) => Ok(Some((key, KeyScope::Active))),
        Some(1) => Ok(Some((key, KeyScope::UntilPurged))),
        _ => Err(Damage("there is no such key scope")),
    }
}

/// The whole task in the first columns of a row.
pub(crate) fn task(row: &PgRow, memo: &mut Memo) -> Read<Task> {
    let (priority, suspect) = lane_of(value(row, at::LEVEL)?).ok_or(Damage("there is no such level"))?;
    let wait_secret = value::<Option<i64>>(row, at::WAIT_SECRET)?.ok_or(Damage("the body is missing"))?;
    let task = Task {
        id: task_id(row, at::ID)?,
        kind: memo
            .kind(value(row, at::KIND)?)
            .ok_or(Damage("the kind is no name"))?,
        queue: memo
            .queue(value(row, at::QUEUE)?)
            .ok_or(Damage("the queue is no name"))?,
        priority,
        created_at: time(row, at::CREATED_AT)?,
        state: state(row, at::STATE)?,
        run_at: time(row, at::RUN_AT)?,
        attempt: count(row, at::ATTEMPT)?,
        crashes: count(row, at::CRASHES)?,
        step: count(row, at::STEP)?,
        version: version(row, at::VERSION)?,
        session: opt_session(row, at::SESSION)?,
        cancel_requested: value(row, at::CANCEL_REQUESTED)?,
        alarm_at: opt_time(row, at::ALARM_AT)?,
        purge_at: opt_time(row, at::PURGE_AT)?,
        holds_key: value(row, at::HOLDS_KEY)?,
        updated_at: time(row, at::UPDATED_AT)?,
        unique: unique(row)?,
        parent: opt_task_id(row, at::PARENT)?,
        children: Children {
            total: count(row, at::TOTAL)?,
            open: count(row, at::OPEN)?,
            failed: count(row, at::FAILED)?,
        },
        settings: memo
            .settings(value(row, at::SETTINGS)?)
            .ok_or(Damage("the settings are damaged"))?,
        wait_secret: wait_secret.cast_unsigned(),
        reruns: u32::try_from(value::<Option<i32>>(row, at::RERUNS)?.unwrap_or(0))
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

/// The report of a row that cannot be read.
pub(crate) fn bad(row: &PgRow, damage: &Damage) -> BadRecord {
    BadRecord {
        id: task_id(row, at::ID).unwrap_or(TaskId::MIN),
        version: version(row, at::VERSION).unwrap_or(0),
        reason: damage.0.to_owned(),
    }
}

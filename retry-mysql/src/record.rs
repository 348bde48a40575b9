//! Rows and records: every column is checked when it is read, so that damage is a report and never a wrong task.

use retry_core::headers::Headers;
use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{MAX_COUNT, MAX_TIMESTAMP_MILLIS, MAX_VERSION};
use retry_core::name::{Kind, Queue, UniqueKey};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::BadRecord;
use retry_core::task::{Children, Completion, ErrorText, KeyScope, Settings, State, Task};
use retry_core::time::Timestamp;
use sqlx::mysql::MySqlRow;
use sqlx::{Row as _, ValueRef as _};

use crate::hot::Hot;

/// Where the columns of a task stand in every statement that reads tasks.
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
    pub(crate) const LAST_NONCE: usize = 10;
    pub(crate) const SESSION: usize = 11;
    pub(crate) const CANCEL_REQUESTED: usize = 12;
    pub(crate) const ALARM_AT: usize = 13;
    pub(crate) const PURGE_AT: usize = 14;
    pub(crate) const CREATED_AT: usize = 15;
    pub(crate) const UPDATED_AT: usize = 16;
    pub(crate) const UNIQUE_KEY: usize = 17;
    pub(crate) const HOLDS_KEY: usize = 18;
    pub(crate) const PARENT: usize = 19;
    pub(crate) const TOTAL: usize = 20;
    pub(crate) const OPEN: usize = 21;
    pub(crate) const FAILED: usize = 22;
    pub(crate) const FAILURES: usize = 23;
    pub(crate) const NOTED: usize = 24;
    pub(crate) const EARLY: usize = 25;
    pub(crate) const APART: usize = 26;
    /// Where the rest of the record, or a statement's own columns, begin.
    pub(crate) const COLD: usize = 27;
    /// Where a statement's own columns begin behind the rest of the record.
    pub(crate) const MORE: usize = COLD + 4;
}

/// What is wrong with a row, without its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) &'static str);

pub(crate) type Read<T> = Result<T, Damage>;

/// What stands for no session.
pub(crate) const NO_SESSION: [u8; 16] = [0; 16];

/// The level of the ready index: the priority, and whether the last lease was lost.
pub(crate) fn level(priority: Priority, crashes: u32) -> i64 {
    i64::from(priority.code()) * 2 + i64::from(crashes > 0)
}

/// The two halves of a level; none if there is no such level.
pub(crate) fn lane_of(level: i64) -> Option<(Priority, bool)> {
    let code = u8::try_from(level).ok()?;
    Some((Priority::from_code(code / 2)?, code % 2 == 1))
}

/// A number up to 2⁵³ as the columns keep it.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A length as the columns keep it.
pub(crate) fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A whole number that may be absent.
pub(crate) fn opt_int(row: &MySqlRow, column: usize) -> Read<Option<i64>> {
    row.try_get(column)
        .map_err(|_| Damage("a number has another type"))
}

/// A whole number.
pub(crate) fn int(row: &MySqlRow, column: usize) -> Read<i64> {
    opt_int(row, column)?.ok_or(Damage("a number is missing"))
}

/// Bytes that may be absent.
pub(crate) fn opt_bytes(row: &MySqlRow, column: usize) -> Read<Option<&[u8]>> {
    let wrong = |_| Damage("a column has another type");
    let value = row.try_get_raw(column).map_err(wrong)?;
    if value.is_null() {
        return Ok(None);
    }
    row.try_get_unchecked(column).map(Some).map_err(wrong)
}

/// A text that may be absent.
pub(crate) fn opt_text(row: &MySqlRow, column: usize) -> Read<Option<&str>> {
    opt_bytes(row, column)?
        .map(|bytes| std::str::from_utf8(bytes).map_err(|_| Damage("a text is not UTF-8")))
        .transpose()
}

/// A text.
pub(crate) fn text(row: &MySqlRow, column: usize) -> Read<&str> {
    opt_text(row, column)?.ok_or(Damage("a text is missing"))
}

/// The 16 bytes of an id that may be absent.
pub(crate) fn opt_id(row: &MySqlRow, column: usize) -> Read<Option<[u8; 16]>> {
    opt_bytes(row, column)?
        .map(|bytes| <[u8; 16]>::try_from(bytes).map_err(|_| Damage("an id does not have 16 bytes")))
        .transpose()
}

/// The 16 bytes of an id.
pub(crate) fn id(row: &MySqlRow, column: usize) -> Read<[u8; 16]> {
    opt_id(row, column)?.ok_or(Damage("an id is missing"))
}

/// The session of a task; zeros are none.
pub(crate) fn session(row: &MySqlRow) -> Read<Option<[u8; 16]>> {
    Ok(Some(id(row, at::SESSION)?).filter(|session| *session != NO_SESSION))
}

/// A flag.
pub(crate) fn flag(row: &MySqlRow, column: usize) -> Read<bool> {
    match int(row, column)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Damage("a flag is neither 0 nor 1")),
    }
}

fn checked_count(number: i64) -> Read<u32> {
    u32::try_from(number)
        .ok()
        .filter(|n| *n <= MAX_COUNT)
        .ok_or(Damage("a count is out of range"))
}

/// A count: attempts, crashes, steps, children.
pub(crate) fn count(row: &MySqlRow, column: usize) -> Read<u32> {
    checked_count(int(row, column)?)
}

/// A count that is zero where there is no note.
pub(crate) fn noted_count(row: &MySqlRow, column: usize) -> Read<u32> {
    checked_count(opt_int(row, column)?.unwrap_or(0))
}

/// A version.
pub(crate) fn version(row: &MySqlRow, column: usize) -> Read<u64> {
    u64::try_from(int(row, column)?)
        .ok()
        .filter(|n| *n <= MAX_VERSION)
        .ok_or(Damage("the version is out of range"))
}

/// A state.
pub(crate) fn state(row: &MySqlRow, column: usize) -> Read<State> {
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
pub(crate) fn time(row: &MySqlRow, column: usize) -> Read<Timestamp> {
    checked_time(int(row, column)?)
}

/// A time that may be absent.
pub(crate) fn opt_time(row: &MySqlRow, column: usize) -> Read<Option<Timestamp>> {
    opt_int(row, column)?.map(checked_time).transpose()
}

/// A queue.
pub(crate) fn queue(row: &MySqlRow, column: usize) -> Read<Queue> {
    Queue::new(text(row, column)?).map_err(|_| Damage("the queue is no name"))
}

/// A kind.
pub(crate) fn kind(row: &MySqlRow, column: usize) -> Read<Kind> {
    Kind::new(text(row, column)?).map_err(|_| Damage("the kind is no name"))
}

/// A payload, output or checkpoint that may be absent.
pub(crate) fn opt_payload(row: &MySqlRow, column: usize) -> Read<Option<Payload>> {
    Ok(opt_text(row, column)?.map(Payload::from_stored))
}

/// A payload.
pub(crate) fn payload(row: &MySqlRow, column: usize) -> Read<Payload> {
    opt_payload(row, column)?.ok_or(Damage("the payload is missing"))
}

/// The headers; none are stored as NULL.
pub(crate) fn headers(row: &MySqlRow, column: usize) -> Read<Headers> {
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
pub(crate) fn opt_completion(row: &MySqlRow, column: usize) -> Read<Option<Completion>> {
    opt_text(row, column)?
        .map(Completion::from_stored)
        .transpose()
        .map_err(|_| Damage("a completion is damaged"))
}

/// The last error, that may be absent.
pub(crate) fn opt_error(row: &MySqlRow, column: usize) -> Read<Option<ErrorText>> {
    Ok(opt_text(row, column)?.map(ErrorText::new))
}

/// The settings in a column; NULL stands for the usual ones.
pub(crate) fn settings(row: &MySqlRow, column: usize) -> Read<Settings> {
    Settings::from_stored(opt_text(row, column)?.unwrap_or(Settings::USUAL_STORED))
        .map_err(|_| Damage("the settings are damaged"))
}

/// The number of a key scope.
pub(crate) const fn scope_code(scope: KeyScope) -> i64 {
    match scope {
        KeyScope::Active => 0,
        KeyScope::UntilPurged => 1,
    }
}

/// The hot row in the first columns of a row.
pub(crate) fn hot(row: &MySqlRow) -> Read<Hot> {
    let (priority, suspect) = lane_of(int(row, at::LEVEL)?).ok_or(Damage("there is no such level"))?;
    let key = opt_text(row, at::UNIQUE_KEY)?.map(UniqueKey::new);
    let hot = Hot {
        id: TaskId::from_bytes(id(row, at::ID)?),
        queue: queue(row, at::QUEUE)?,
        kind: kind(row, at::KIND)?,
        priority,
        state: state(row, at::STATE)?,
        run_at: time(row, at::RUN_AT)?,
        attempt: count(row, at::ATTEMPT)?,
        crashes: count(row, at::CRASHES)?,
        step: count(row, at::STEP)?,
        version: version(row, at::VERSION)?,
        last_nonce: int(row, at::LAST_NONCE)?,
        session: session(row)?.map(SessionId::from_bytes),
        cancel_requested: flag(row, at::CANCEL_REQUESTED)?,
        alarm_at: opt_time(row, at::ALARM_AT)?,
        purge_at: opt_time(row, at::PURGE_AT)?,
        created_at: time(row, at::CREATED_AT)?,
        updated_at: time(row, at::UPDATED_AT)?,
        key: key.transpose().map_err(|_| Damage("the unique key is not one"))?,
        holds_key: flag(row, at::HOLDS_KEY)?,
        parent: opt_id(row, at::PARENT)?.map(TaskId::from_bytes),
        children: Children {
            total: count(row, at::TOTAL)?,
            open: count(row, at::OPEN)?,
            failed: count(row, at::FAILED)?,
        },
        failures: count(row, at::FAILURES)?,
        noted: flag(row, at::NOTED)?,
        early: flag(row, at::EARLY)?,
        apart: flag(row, at::APART)?,
    };
    if (hot.crashes > 0) != suspect {
        return Err(Damage("the level contradicts the crashes"));
    }
    if (hot.state == State::Running) != hot.session.is_some() {
        return Err(Damage("the session contradicts the state"));
    }
    Ok(hot)
}

/// The whole task: the hot row, and the rest of the record in the columns from `column` on.
pub(crate) fn whole(hot: Hot, row: &MySqlRow, column: usize) -> Read<Task> {
    let settings = settings(row, column)?;
    let scope = match opt_int(row, column + 1)? {
        Some(0) => Some(KeyScope::Active),
        Some(1) => Some(KeyScope::UntilPurged),
        None => None,
        Some(_) => return Err(Damage("there is no such key scope")),
    };
    if scope.is_some() != hot.key.is_some() {
        return Err(Damage("the key scope contradicts the unique key"));
    }
    let wait_secret = int(row, column + 2)?;
    let mut task = hot.into_task(settings);
    task.unique = task.unique.and_then(|(key, _)| Some((key, scope?)));
    task.wait_secret = wait_secret.cast_unsigned();
    task.reruns = noted_count(row, column + 3)?;
    Ok(task)
}

/// The whole task of a row that begins with the hot row and the rest of the record.
pub(crate) fn task(row: &MySqlRow) -> Read<Task> {
    whole(hot(row)?, row, at::COLD)
}

/// The report of a row that cannot be read.
pub(crate) fn bad(row: &MySqlRow, damage: &Damage) -> BadRecord {
    BadRecord {
        id: TaskId::from_bytes(id(row, at::ID).unwrap_or_default()),
        version: version(row, at::VERSION).unwrap_or(0),
        reason: damage.0.to_owned(),
    }
}

//! A task's record as the scripts keep it: a fixed layout of big-endian integers (`lua/part/row.lua`), checked when it is read,
//! so that damage is a report and never a wrong task.

use std::time::Duration;

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{MAX_COUNT, MAX_TIMESTAMP_MILLIS, MAX_VERSION};
use retry_core::name::{Kind, Queue, UniqueKey};
use retry_core::priority::Priority;
use retry_core::store::BadRecord;
use retry_core::task::{Children, FailedChildren, KeyScope, Settings, State, Target, Task};
use retry_core::time::Timestamp;

use crate::codec::{self, Damage, Read};

/// The first byte of a record.
const FORMAT: u8 = 1;
/// "No time": above every legal time, and exact in the scripts' numbers.
const NONE: i64 = 1 << 54;
/// Bytes of the part that a change writes whole.
pub(crate) const HOT_BYTES: usize = 62;

/// Flags that a script looks at.
pub(crate) mod flag {
    pub(crate) const CANCEL: u8 = 1;
    pub(crate) const HOLDS_KEY: u8 = 2;
    pub(crate) const VIA_FALLBACK: u8 = 4;
}

/// Rarely written texts: the field in the blob hash is the id and this byte.
pub(crate) mod tag {
    pub(crate) const COMPLETION: u8 = 1;
    pub(crate) const EARLY: u8 = 2;
    pub(crate) const OUTPUT: u8 = 3;
    pub(crate) const CHECKPOINT: u8 = 4;
    pub(crate) const LAST_ERROR: u8 = 5;
    /// A payload in place of the body's.
    pub(crate) const PAYLOAD: u8 = 6;
    /// Headers in place of the body's.
    pub(crate) const HEADERS: u8 = 7;
}

/// A decoded record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) task: Task,
    pub(crate) via_fallback: bool,
    cold: u16,
}

impl Record {
    /// Whether a text with this tag is stored.
    pub(crate) const fn has(&self, tag: u8) -> bool {
        (self.cold >> tag) & 1 == 1
    }
}

/// Names met in one answer: most tasks of a batch share them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    kind: Option<Kind>,
    queue: Option<Queue>,
}

impl Names {
    fn kind(&mut self, name: &str) -> Read<Kind> {
        if let Some(kind) = self.kind.as_ref().filter(|kind| kind.as_str() == name) {
            return Ok(kind.clone());
        }
        let kind = Kind::new(name).map_err(|_| Damage("the kind is no name"))?;
        self.kind = Some(kind.clone());
        Ok(kind)
    }

    fn queue(&mut self, name: &str) -> Read<Queue> {
        if let Some(queue) = self.queue.as_ref().filter(|queue| queue.as_str() == name) {
            return Ok(queue.clone());
        }
        let queue = Queue::new(name).map_err(|_| Damage("the queue is no name"))?;
        self.queue = Some(queue.clone());
        Ok(queue)
    }
}

/// A time as bytes that sort like it: one byte for the sign, seven of the number.
fn sortable(time: Timestamp) -> [u8; 8] {
    let mut bytes = time.as_millis().to_be_bytes();
    bytes[0] = u8::from(time.as_millis() >= 0);
    bytes
}

/// The time of sortable bytes.
pub(crate) fn from_sortable(mut bytes: [u8; 8]) -> Read<Timestamp> {
    bytes[0] = match bytes[0] {
        0 => 0xff,
        1 => 0,
        _ => return Err(Damage("a time is out of range")),
    };
    checked(i64::from_be_bytes(bytes))
}

/// A time that may be absent.
pub(crate) fn opt_time(time: Option<Timestamp>) -> i64 {
    time.map_or(NONE, Timestamp::as_millis)
}

/// The part of a record that a change writes, with the flags it sets.
pub(crate) fn target(target: &Target, flags: u8, now: Timestamp, out: &mut Vec<u8>) {
    out.extend([target.state.code(), flags]);
    for count in [target.attempt, target.crashes, target.step] {
        out.extend(count.to_be_bytes());
    }
    out.extend(sortable(target.run_at));
    for time in [
        opt_time(target.alarm_at),
        opt_time(target.purge_at),
        now.as_millis(),
    ] {
        out.extend(time.to_be_bytes());
    }
    out.extend(target.session.map_or([0; 16], SessionId::to_bytes));
}

/// The same part of a whole record.
fn hot(task: &Task, out: &mut Vec<u8>) {
    let to = Target {
        state: task.state,
        run_at: task.run_at,
        attempt: task.attempt,
        crashes: task.crashes,
        step: task.step,
        session: task.session,
        cancel_requested: None,
        alarm_at: task.alarm_at,
        purge_at: task.purge_at,
        holds_key: task.holds_key,
        failure: None,
        cold: None,
    };
    let held = if task.holds_key { flag::HOLDS_KEY } else { 0 };
    target(&to, held, task.updated_at, out);
}

/// Milliseconds of a span, below what a script's numbers hold exactly; −1 for none.
fn span(span: Option<Duration>) -> i64 {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(NONE).min(NONE);
    span.map_or(-1, millis)
}

/// The record of a new task whose body has `size` bytes.
pub(crate) fn new(task: &Task, size: usize, out: &mut Vec<u8>) {
    let settings = &task.settings;
    out.push(FORMAT);
    hot(task, out);
    out.extend(task.version.to_be_bytes());
    out.extend([0; 8 + 2 + 4]); // nonce, cold, failures: the scripts' own
    out.extend(u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
    for count in [
        task.children.total,
        task.children.open,
        task.children.failed,
        task.reruns,
    ] {
        out.extend(count.to_be_bytes());
    }
    out.extend(opt_time(settings.give_up_at).to_be_bytes());
    out.extend(opt_time(settings.expires_at).to_be_bytes());
    let key = task.unique.as_ref().map_or("", |(key, _)| key.as_str());
    let policy = match settings.on_failed_children {
        FailedChildren::Reduce => 0,
        FailedChildren::Fail => 1,
        FailedChildren::Hold => 2,
    };
    out.push(policy | (task.priority.code() << 4));
    out.extend(task.created_at.as_millis().to_be_bytes());
    out.extend(span(settings.deadline_after).to_be_bytes());
    out.extend(task.parent.map_or([0; 16], TaskId::to_bytes));
    let (queue, kind) = (task.queue.as_str(), task.kind.as_str());
    out.extend(short(queue.len() + kind.len() + 2).to_be_bytes());
    out.extend(short(key.len()).to_be_bytes());
    for text in [queue, "\0", kind, "\0", key] {
        out.extend(text.as_bytes());
    }
    let scope = task.unique.as_ref().map_or(KeyScope::Active, |(_, scope)| *scope);
    out.extend(task.wait_secret.to_be_bytes());
    out.push(match scope {
        KeyScope::Active => 0,
        KeyScope::UntilPurged => 1,
    });
    codec::append(settings, out);
}

/// A length: names and keys are far below its bound.
fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// Reads big-endian fields one after another.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(n)
            .ok_or(Damage("the record is cut"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| Damage("the record is cut"))
    }

    fn byte(&mut self) -> Read<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn short(&mut self) -> Read<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn count(&mut self) -> Read<u32> {
        let count = u32::from_be_bytes(self.array()?);
        (count <= MAX_COUNT)
            .then_some(count)
            .ok_or(Damage("a count is out of range"))
    }

    fn long(&mut self) -> Read<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn opt_time(&mut self) -> Read<Option<Timestamp>> {
        match i64::from_be_bytes(self.array()?) {
            NONE => Ok(None),
            millis => checked(millis).map(Some),
        }
    }

    fn time(&mut self) -> Read<Timestamp> {
        self.opt_time()?.ok_or(Damage("a time is missing"))
    }

    fn sortable(&mut self) -> Read<Timestamp> {
        from_sortable(self.array()?)
    }

    fn id(&mut self) -> Read<Option<[u8; 16]>> {
        let id = self.array()?;
        Ok((id != [0; 16]).then_some(id))
    }
}

fn checked(millis: i64) -> Read<Timestamp> {
    if (-MAX_TIMESTAMP_MILLIS..=MAX_TIMESTAMP_MILLIS).contains(&millis) {
        Ok(Timestamp::from_millis(millis))
    } else {
        Err(Damage("a time is out of range"))
    }
}

/// The version of a record, as far as that can be read.
fn version(record: &[u8]) -> u64 {
    let at = 1 + HOT_BYTES;
    let bytes = record.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    let version = bytes.map_or(0, u64::from_be_bytes);
    if version <= MAX_VERSION { version } else { 0 }
}

/// The report of a record that cannot be read.
pub(crate) fn bad(id: TaskId, record: &[u8], damage: Damage) -> BadRecord {
    BadRecord {
        id,
        version: version(record),
        reason: damage.0.to_owned(),
    }
}

/// Reads a record.
pub(crate) fn read(id: TaskId, record: &[u8], names: &mut Names) -> Read<Record> {
    let mut from = Reader { bytes: record };
    if from.byte()? != FORMAT {
        return Err(Damage("the record's format is unknown"));
    }
    let (state, flags) = (from.byte()?, from.byte()?);
    let state = State::from_code(state).ok_or(Damage("there is no such state"))?;
    let (attempt, crashes, step) = (from.count()?, from.count()?, from.count()?);
    let run_at = from.sortable()?;
    let (alarm_at, purge_at, updated_at) = (from.opt_time()?, from.opt_time()?, from.time()?);
    let session = from.id()?.map(SessionId::from_bytes);
    let version = from.long()?;
    let (_nonce, cold, _failures, _size) = (from.long()?, from.short()?, from.take(4)?, from.take(4)?);
    let (total, open, failed) = (from.count()?, from.count()?, from.count()?);
    let reruns = from.count()?;
    let (give_up_at, expires_at) = (from.opt_time()?, from.opt_time()?);
    let policy = from.byte()?;
    let created_at = from.time()?;
    let _deadline = from.long()?;
    let parent = from.id()?.map(TaskId::from_bytes);
    let (lane, key) = (from.short()?, from.short()?);
    let (lane, key) = (from.take(lane.into())?, from.take(key.into())?);
    let (wait_secret, scope) = (from.long()?, from.byte()?);
    let settings: Settings = codec::decode_bare(from.bytes, "the settings are damaged")?;
    let mut parts = codec::text(lane)?.split('\0');
    let (Some(queue), Some(kind)) = (parts.next(), parts.next()) else {
        return Err(Damage("the lane is damaged"));
    };
    if version > MAX_VERSION {
        return Err(Damage("the version is out of range"));
    }
    if (state == State::Running) != session.is_some() {
        return Err(Damage("the session contradicts the state"));
    }
    let task = Task {
        id,
        kind: names.kind(kind)?,
        queue: names.queue(queue)?,
        priority: Priority::from_code(policy >> 4).ok_or(Damage("there is no such priority"))?,
        created_at,
        state,
        run_at,
        attempt,
        crashes,
        step,
        version,
        session,
        cancel_requested: flags & flag::CANCEL != 0,
        alarm_at,
        purge_at,
        holds_key: flags & flag::HOLDS_KEY != 0,
        updated_at,
        unique: unique(key, scope)?,
        parent,
        children: Children { total, open, failed },
        settings: Settings {
            give_up_at,
            expires_at,
            ..settings
        },
        wait_secret,
        reruns,
    };
    Ok(Record {
        task,
        via_fallback: flags & flag::VIA_FALLBACK != 0,
        cold,
    })
}

fn unique(key: &[u8], scope: u8) -> Read<Option<(UniqueKey, KeyScope)>> {
    if key.is_empty() {
        return Ok(None);
    }
    let key = UniqueKey::new(codec::text(key)?).map_err(|_| Damage("the unique key is not one"))?;
    match scope {
        0 => Ok(Some((key, KeyScope::Active))),
        1 => Ok(Some((key, KeyScope::UntilPurged))),
        _ => Err(Damage("there is no such key scope")),
    }
}

#[cfg(test)]
#[path = "record_test.rs"]
mod record_test;

//! A task's record as the scripts keep it: two values of big-endian integers (`lua/part/row.lua`), checked when they are read,
//! so that damage is a report and never a wrong task. The *head* is what claims and settles change, the *rest* what they leave.

use std::time::Duration;

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{MAX_COUNT, MAX_TIMESTAMP_MILLIS, MAX_VERSION};
use retry_core::name::{Kind, Queue, UniqueKey};
use retry_core::priority::Priority;
use retry_core::store::BadRecord;
use retry_core::task::{Children, FailedChildren, KeyScope, Settings, State, Target, Task};
use retry_core::time::Timestamp;

use crate::codec::{self, Damage, Read};

/// The first byte of a head.
pub(crate) const FORMAT: u8 = 1;
/// "No time": above every legal time, and exact in the scripts' numbers.
const NONE: i64 = 1 << 54;
/// Where the version stands in a head.
const VERSION_AT: usize = 4;

/// Flags that a script looks at.
pub(crate) mod flag {
    pub(crate) const CANCEL: u8 = 1;
    pub(crate) const HOLDS_KEY: u8 = 2;
    pub(crate) const VIA_FALLBACK: u8 = 4;
}

/// What is rare about a row: a script knows a plain one by a zero.
mod rare {
    pub(super) const KEYED: u8 = 1;
    pub(super) const CHILD: u8 = 2;
    pub(super) const LIMITED: u8 = 4;
    pub(super) const ALARMED: u8 = 8;
    pub(super) const PURGED: u8 = 16;
    // 32, texts or failed attempts, is the scripts' own.
    pub(super) const SUSPECT: u8 = 64;
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

    /// The queue and the kind of a lane.
    fn lane(&mut self, lane: &[u8]) -> Read<(Queue, Kind)> {
        let mut parts = codec::text(lane)?.split('\0');
        let (Some(queue), Some(kind), Some("")) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Damage("the lane is damaged"));
        };
        Ok((self.queue(queue)?, self.kind(kind)?))
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

/// What a write puts in the beginning of a head, beside the values of its target.
pub(crate) struct Marks {
    pub(crate) flags: u8,
    pub(crate) version: u64,
    pub(crate) nonce: u64,
    pub(crate) now: Timestamp,
}

/// The part of a head that a change writes, as it stands in a row about which nothing else is rare.
pub(crate) fn target(target: &Target, marks: &Marks, out: &mut Vec<u8>) {
    write(target, 0, marks, out);
}

fn write(target: &Target, rare: u8, marks: &Marks, out: &mut Vec<u8>) {
    let bit = |is: bool, bit: u8| if is { bit } else { 0 };
    let rare = rare
        | bit(target.alarm_at.is_some(), rare::ALARMED)
        | bit(target.purge_at.is_some(), rare::PURGED)
        | bit(target.crashes > 0, rare::SUSPECT);
    out.extend([FORMAT, rare, marks.flags, target.state.code()]);
    out.extend(marks.version.to_be_bytes());
    out.extend(target.attempt.to_be_bytes());
    out.extend(marks.now.as_millis().to_be_bytes());
    out.extend(target.session.map_or([0; 16], SessionId::to_bytes));
    out.extend(marks.nonce.to_be_bytes());
    for count in [target.crashes, target.step] {
        out.extend(count.to_be_bytes());
    }
    out.extend(sortable(target.run_at));
    for time in [opt_time(target.alarm_at), opt_time(target.purge_at)] {
        out.extend(time.to_be_bytes());
    }
    out.extend([0; 2 + 4]); // which texts, and failed attempts: the scripts' own
}

/// Milliseconds of a span, below what a script's numbers hold exactly; −1 for none.
fn span(span: Option<Duration>) -> i64 {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(NONE).min(NONE);
    span.map_or(-1, millis)
}

/// The head of a new task whose body has `size` bytes.
pub(crate) fn head(task: &Task, size: usize, out: &mut Vec<u8>) {
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
    let mut rare = 0;
    for (is, bit) in [
        (task.unique.is_some(), rare::KEYED),
        (task.parent.is_some(), rare::CHILD),
        (task.settings.deadline_after.is_some(), rare::LIMITED),
    ] {
        rare |= if is { bit } else { 0 };
    }
    let marks = Marks {
        flags: if task.holds_key { flag::HOLDS_KEY } else { 0 },
        version: task.version,
        nonce: 0,
        now: task.updated_at,
    };
    write(&to, rare, &marks, out);
    out.extend(u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
    for text in [task.queue.as_str(), "\0", task.kind.as_str(), "\0"] {
        out.extend(text.as_bytes());
    }
    out.push(task.priority.code() * 2);
}

/// The rest of a new task.
pub(crate) fn rest(task: &Task, out: &mut Vec<u8>) {
    let settings = &task.settings;
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
    // A key is at most 255 bytes.
    out.extend(u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(key.as_bytes());
    let scope = task.unique.as_ref().map_or(KeyScope::Active, |(_, scope)| *scope);
    out.extend(task.wait_secret.to_be_bytes());
    out.push(match scope {
        KeyScope::Active => 0,
        KeyScope::UntilPurged => 1,
    });
    codec::append(settings, out);
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
fn version(head: &[u8]) -> u64 {
    let bytes = head
        .get(VERSION_AT..VERSION_AT + 8)
        .and_then(|bytes| bytes.try_into().ok());
    let version = bytes.map_or(0, u64::from_be_bytes);
    if version <= MAX_VERSION { version } else { 0 }
}

/// The report of a record that cannot be read.
pub(crate) fn bad(id: TaskId, head: &[u8], damage: Damage) -> BadRecord {
    BadRecord {
        id,
        version: version(head),
        reason: damage.0.to_owned(),
    }
}

/// A record's two values; the second is missing where a row is damaged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) head: &'a [u8],
    pub(crate) rest: Option<&'a [u8]>,
}

/// Reads a record.
pub(crate) fn read(id: TaskId, stored: Stored<'_>, names: &mut Names) -> Read<Record> {
    let mut from = Reader { bytes: stored.head };
    if from.byte()? != FORMAT {
        return Err(Damage("the record's format is unknown"));
    }
    let (_rare, flags, state) = (from.byte()?, from.byte()?, from.byte()?);
    let state = State::from_code(state).ok_or(Damage("there is no such state"))?;
    let (version, attempt, updated_at) = (from.long()?, from.count()?, from.time()?);
    let session = from.id()?.map(SessionId::from_bytes);
    let (_nonce, crashes, step) = (from.long()?, from.count()?, from.count()?);
    let (run_at, alarm_at, purge_at) = (from.sortable()?, from.opt_time()?, from.opt_time()?);
    let (cold, _failures, _size) = (from.short()?, from.take(4)?, from.take(4)?);
    let (level, lane) = from.bytes.split_last().ok_or(Damage("the lane is damaged"))?;

    let mut from = Reader {
        bytes: stored.rest.ok_or(Damage("half of the record is missing"))?,
    };
    let (total, open, failed) = (from.count()?, from.count()?, from.count()?);
    let reruns = from.count()?;
    let (give_up_at, expires_at) = (from.opt_time()?, from.opt_time()?);
    let policy = from.byte()?;
    let created_at = from.time()?;
    let _deadline = from.long()?;
    let parent = from.id()?.map(TaskId::from_bytes);
    let key = from.short()?;
    let key = from.take(key.into())?;
    let (wait_secret, scope) = (from.long()?, from.byte()?);
    let settings: Settings = codec::decode_bare(from.bytes, "the settings are damaged")?;
    if version > MAX_VERSION {
        return Err(Damage("the version is out of range"));
    }
    if policy >> 4 != level / 2 || level % 2 != 0 {
        return Err(Damage("the priority contradicts the lane"));
    }
    if (state == State::Running) != session.is_some() {
        return Err(Damage("the session contradicts the state"));
    }
    let (queue, kind) = names.lane(lane)?;
    let task = Task {
        id,
        kind,
        queue,
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

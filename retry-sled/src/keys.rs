//! Where everything is in the tree: the first byte of a key tells its kind, so one ordered map holds rows and indexes.
//!
//! Numbers are big-endian with the sign bit flipped, so that bytes sort as numbers; names end in a zero byte, which no
//! name may contain. Ids are 16 bytes and sort by creation.
//!
//! | key | value | there when |
//! |---|---|---|
//! | `t` id | the row | always |
//! | `b` id chunk | payload and headers | they are too large for the row |
//! | `c` id chunk | the note: what few tasks have | the row says so |
//! | `f` id number chunk | one failed attempt | it is among the last 20 |
//! | `q` queue kind level run_at id | the parent, or nothing | Pending; a lane is a prefix |
//! | `a` alarm_at id | | an alarm is set |
//! | `p` purge_at bucket | ids | they may be forgotten then |
//! | `r` session bucket | ids | Running |
//! | `x` session id | | Running and to be cancelled |
//! | `l` state id | | Waiting, Joining, Failed, Cancelled |
//! | `h` parent id | | it has a parent |
//! | `k` kind unique key | the holder | the key is held |
//! | `n` queue state | how many | there are any |
//! | `s` session | the session | until it is forgotten |
//! | `z` queue | | the queue is paused |
//! | `!` id | the key of its lane | the row could not be read and was put aside |
//! | `v` | the format's version | always |
//! | `w` | | an import is not complete |

use retry_core::id::{SessionId, TaskId};
use retry_core::name::{Kind, Queue, UniqueKey};
use retry_core::priority::Priority;
use retry_core::task::{State, Task};
use retry_core::time::Timestamp;

pub(crate) type Key = Vec<u8>;

pub(crate) const ROW: u8 = b't';
pub(crate) const BODY: u8 = b'b';
pub(crate) const NOTE: u8 = b'c';
pub(crate) const FAILURE: u8 = b'f';
pub(crate) const LANE: u8 = b'q';
pub(crate) const ALARM: u8 = b'a';
pub(crate) const PURGE: u8 = b'p';
pub(crate) const HELD: u8 = b'r';
pub(crate) const FLAGGED: u8 = b'x';
pub(crate) const LISTED: u8 = b'l';
pub(crate) const CHILD: u8 = b'h';
pub(crate) const SLOT: u8 = b'k';
pub(crate) const COUNT: u8 = b'n';
pub(crate) const SESSION: u8 = b's';
pub(crate) const PAUSED: u8 = b'z';
pub(crate) const ASIDE: u8 = b'!';
/// The whole key of the format's version.
pub(crate) const VERSION: &[u8] = b"v";
/// The whole key of the mark of an import.
pub(crate) const IMPORTING: &[u8] = b"w";

/// Bytes of a due time and an id, the end of a key of a lane.
const PLACE: usize = 8 + 16;

fn key(prefix: u8, parts: &[&[u8]]) -> Key {
    let mut key = Key::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(prefix);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// A time as bytes that sort as the time does.
pub(crate) fn ordered(time: Timestamp) -> [u8; 8] {
    (time.as_millis().cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn time(bytes: &[u8]) -> Option<Timestamp> {
    let number = u64::from_be_bytes(bytes.try_into().ok()?) ^ (1 << 63);
    Some(Timestamp::from_millis(number.cast_signed()))
}

/// The first key behind all that start with `prefix`.
pub(crate) fn behind(prefix: &[u8]) -> Key {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            break;
        }
    }
    end
}

pub(crate) fn row(id: TaskId) -> Key {
    key(ROW, &[&id.to_bytes()])
}

/// What the chunks of a body start with.
pub(crate) fn body(id: TaskId) -> Key {
    key(BODY, &[&id.to_bytes()])
}

/// What the chunks of a note start with.
pub(crate) fn note(id: TaskId) -> Key {
    key(NOTE, &[&id.to_bytes()])
}

/// What the chunks of all failed attempts of a task start with.
pub(crate) fn failures(id: TaskId) -> Key {
    key(FAILURE, &[&id.to_bytes()])
}

/// What the chunks of one failed attempt start with.
pub(crate) fn failure(id: TaskId, number: u32) -> Key {
    key(FAILURE, &[&id.to_bytes(), &number.to_be_bytes()])
}

/// One chunk of a long value.
pub(crate) fn chunk(prefix: &[u8], number: u16) -> Key {
    [prefix, &number.to_be_bytes()].concat()
}

/// What all lanes of a queue start with.
pub(crate) fn queue_lanes(queue: &Queue) -> Key {
    key(LANE, &[queue.as_str().as_bytes(), &[0]])
}

/// What all lanes of a queue and a kind start with; the level follows.
pub(crate) fn kind_lanes(queue: &Queue, kind: &Kind) -> Key {
    let (queue, kind) = (queue.as_str().as_bytes(), kind.as_str().as_bytes());
    let mut key = Key::with_capacity(queue.len() + kind.len() + 4 + PLACE);
    key.push(LANE);
    key.extend_from_slice(queue);
    key.push(0);
    key.extend_from_slice(kind);
    key.push(0);
    key
}

/// The priority and the suspect flag in one number: 0 to 7, the urgent first.
pub(crate) const fn level(priority: Priority, suspect: bool) -> u8 {
    priority.code() * 2 + suspect as u8
}

/// The priority and the suspect flag of a level.
pub(crate) fn of_level(level: u8) -> Option<(Priority, bool)> {
    Some((Priority::from_code(level / 2)?, level % 2 == 1))
}

/// A task's place in its lane.
pub(crate) fn ready(task: &Task) -> Key {
    let mut key = kind_lanes(&task.queue, &task.kind);
    key.push(level(task.priority, task.is_suspect()));
    key.extend_from_slice(&ordered(task.run_at));
    key.extend_from_slice(&task.id.to_bytes());
    key
}

/// The due time and the id at the end of a key.
pub(crate) fn place(key: &[u8]) -> Option<(Timestamp, TaskId)> {
    let at = key.len().checked_sub(PLACE)?;
    Some((time(&key[at..at + 8])?, id_at_end(key)?))
}

/// The parts of a key of a lane: queue, kind, level, due time.
pub(crate) fn lane_parts(key: &[u8]) -> Option<(Queue, Kind, u8, Timestamp)> {
    let at = key.len().checked_sub(PLACE + 1)?;
    let (names, rest) = (key.get(1..at)?, &key[at..]);
    let mut names = names.split(|byte| *byte == 0);
    let mut name = || std::str::from_utf8(names.next()?).ok();
    let queue = Queue::new(name()?).ok()?;
    let kind = Kind::new(name()?).ok()?;
    Some((queue, kind, rest[0], time(&rest[1..9])?))
}

/// A lane: a key without its due time and id.
pub(crate) fn lane_of(key: &[u8]) -> &[u8] {
    &key[..key.len().saturating_sub(PLACE)]
}

pub(crate) fn alarm(at: Timestamp, id: TaskId) -> Key {
    key(ALARM, &[&ordered(at), &id.to_bytes()])
}

/// The set of the tasks that may be forgotten at a time.
pub(crate) fn purge(at: Timestamp) -> Key {
    key(PURGE, &[&ordered(at)])
}

/// The set of a bucket of one, and its time.
pub(crate) fn purge_parts(key: &[u8]) -> Option<(&[u8], Timestamp)> {
    Some((key.get(..9)?, time(key.get(1..9)?)?))
}

/// The set of a bucket of held tasks.
pub(crate) fn held_set(key: &[u8]) -> Option<&[u8]> {
    key.get(..17)
}

/// The set of the tasks that a session holds.
pub(crate) fn held_by(session: SessionId) -> Key {
    key(HELD, &[&session.to_bytes()])
}

/// The session of a key of held tasks.
pub(crate) fn holder(key: &[u8]) -> Option<SessionId> {
    Some(SessionId::from_bytes(key.get(1..17)?.try_into().ok()?))
}

pub(crate) fn flagged(session: SessionId, id: TaskId) -> Key {
    key(FLAGGED, &[&session.to_bytes(), &id.to_bytes()])
}

/// What the tasks of a session that are to be cancelled start with.
pub(crate) fn flagged_by(session: SessionId) -> Key {
    key(FLAGGED, &[&session.to_bytes()])
}

pub(crate) fn listed(state: State, id: TaskId) -> Key {
    key(LISTED, &[&[state.code()], &id.to_bytes()])
}

/// What the listed tasks of a state start with.
pub(crate) fn listed_in(state: State) -> Key {
    key(LISTED, &[&[state.code()]])
}

/// Whether the tasks of a state have a list.
pub(crate) const fn is_listed(state: State) -> bool {
    matches!(
        state,
        State::Waiting | State::Joining | State::Failed | State::Cancelled
    )
}

pub(crate) fn child(parent: TaskId, id: TaskId) -> Key {
    key(CHILD, &[&parent.to_bytes(), &id.to_bytes()])
}

/// What the children of a parent start with.
pub(crate) fn children(parent: TaskId) -> Key {
    key(CHILD, &[&parent.to_bytes()])
}

pub(crate) fn slot(kind: &Kind, unique: &UniqueKey) -> Key {
    key(
        SLOT,
        &[kind.as_str().as_bytes(), &[0], unique.as_str().as_bytes()],
    )
}

pub(crate) fn count(queue: &Queue, state: State) -> Key {
    key(COUNT, &[queue.as_str().as_bytes(), &[0, state.code()]])
}

/// The parts of a key of a count.
pub(crate) fn count_parts(key: &[u8]) -> Option<(Queue, State)> {
    let [name @ .., 0, state] = key.get(1..)? else {
        return None;
    };
    let queue = Queue::new(std::str::from_utf8(name).ok()?).ok()?;
    Some((queue, State::from_code(*state)?))
}

pub(crate) fn session(id: SessionId) -> Key {
    key(SESSION, &[&id.to_bytes()])
}

/// The session at the end of a key.
pub(crate) fn session_at_end(key: &[u8]) -> Option<SessionId> {
    id_at_end(key).map(|id| SessionId::from_bytes(id.to_bytes()))
}

pub(crate) fn paused(queue: &Queue) -> Key {
    key(PAUSED, &[queue.as_str().as_bytes()])
}

/// The queue of a key of a paused one.
pub(crate) fn paused_queue(key: &[u8]) -> Option<Queue> {
    Queue::new(std::str::from_utf8(key.get(1..)?).ok()?).ok()
}

pub(crate) fn aside(id: TaskId) -> Key {
    key(ASIDE, &[&id.to_bytes()])
}

/// The id at the end of a key.
pub(crate) fn id_at_end(key: &[u8]) -> Option<TaskId> {
    let at = key.len().checked_sub(16)?;
    Some(TaskId::from_bytes(key[at..].try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_bytes() {
        let times = [i64::MIN, -1, 0, 1, 1_700_000_000_000, i64::MAX].map(Timestamp::from_millis);
        for pair in times.windows(2) {
            assert!(ordered(pair[0]) < ordered(pair[1]), "{pair:?}");
        }
        for at in times {
            assert_eq!(time(&ordered(at)), Some(at));
        }
    }

    #[test]
    fn the_end_of_a_prefix_is_behind_all_its_keys() {
        assert_eq!(behind(b"ab"), b"ac");
        assert_eq!(behind(&[1, 0xff, 0xff]), [2]);
        assert!(behind(b"ab").as_slice() > [b'a', b'b', 0xff, 0xff].as_slice());
    }

    #[test]
    fn a_queue_that_begins_another_has_lanes_of_its_own() {
        let (short, long) = (Queue::new("a").unwrap(), Queue::new("ab").unwrap());
        let kind = Kind::new("k").unwrap();
        assert!(!kind_lanes(&long, &kind).starts_with(&queue_lanes(&short)));
        assert!(kind_lanes(&short, &kind).starts_with(&queue_lanes(&short)));
    }

    #[test]
    fn parts_come_back() {
        let (queue, kind) = (Queue::new("q.1").unwrap(), Kind::new("k/2").unwrap());
        let (at, id) = (Timestamp::from_millis(-7), TaskId::from_bytes([0; 16]));
        let mut key = kind_lanes(&queue, &kind);
        key.push(level(Priority::Low, true));
        let lane = key.clone();
        key.extend_from_slice(&ordered(at));
        key.extend_from_slice(&id.to_bytes());
        assert_eq!(lane_parts(&key), Some((queue.clone(), kind, 7, at)));
        assert_eq!((lane_of(&key), place(&key)), (lane.as_slice(), Some((at, id))));
        assert_eq!(of_level(7), Some((Priority::Low, true)));
        let counted = count(&queue, State::Failed);
        assert_eq!(count_parts(&counted), Some((queue, State::Failed)));
        assert_eq!(lane_parts(b"q"), None);
        assert_eq!(count_parts(b"n"), None);
    }
}

//! Identities: tasks, sessions, nonces, versions, and how task ids are made.

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use crate::limits::MAX_VERSION;
use crate::name::{Kind, UniqueKey};
use crate::time::Timestamp;

const COUNTER_BITS: u32 = 22;
const RANDOM_BITS: u32 = 40;
const TAIL_MASK: u128 = (1 << 62) - 1;
const FRAME: u128 = (0x7 << 76) | (0b10 << 62);

/// The identity of a task: 128 bits in the layout of UUID version 7 (RFC 9562 §5.7).
///
/// 48 bits of milliseconds, 12 bits of shard in `rand_a`, then 62 bits: a counter and randomness for an ordinary task,
/// a hash for a child. Ids of one generator and shard sort by creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(u128);

/// One of 4,096 slots, kept in the id, by which a [sharded store](crate::sharded) finds the part that holds a task. Every
/// id has one, also where the store is not sharded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Shard(u16);

impl Shard {
    /// How many slots there are. Part of every id ever made: it never changes.
    pub const COUNT: u16 = 4_096;

    /// The slot `number`; only its low 12 bits count.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number & (Self::COUNT - 1))
    }

    /// The slot of a shard key: the low 12 bits of the SipHash-2-4, under a zero key, of its bytes.
    ///
    /// It is the same for every store and every version, so that a store can become a sharded one later.
    #[must_use]
    pub fn of_key(key: &str) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(key.as_bytes());
        Self::of_hash(hasher.finish())
    }

    /// The slot of a unique key, which is unique among the tasks of one kind: as [`of_key`](Self::of_key), of the
    /// kind, a zero byte and the key.
    #[must_use]
    pub fn of_unique(kind: &Kind, key: &UniqueKey) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(kind.as_str().as_bytes());
        hasher.write(&[0]);
        hasher.write(key.as_str().as_bytes());
        Self::of_hash(hasher.finish())
    }

    fn of_hash(hash: u64) -> Self {
        Self::new(u16::try_from(hash & u64::from(Self::COUNT - 1)).unwrap_or(0))
    }

    /// All slots.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Its number, below 4,096.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl TaskId {
    /// The least id, before every other.
    pub const MIN: Self = Self(0);
    /// The greatest id, after every other.
    pub const MAX: Self = Self(u128::MAX);

    fn compose(millis: u64, shard: Shard, tail: u128) -> Self {
        let millis = u128::from(millis & 0xffff_ffff_ffff);
        Self((millis << 80) | FRAME | (u128::from(shard.0) << 64) | (tail & TAIL_MASK))
    }

    /// The id of child number `index` of a split made by `parent` in its `step`, after `reruns` reruns.
    ///
    /// The same arguments give the same id, so a split can be repeated after an unknown outcome. The tail is the
    /// SipHash-2-4 of the arguments under a zero key.
    #[must_use]
    pub fn child(parent: Self, reruns: u32, step: u32, index: u32) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(&parent.to_bytes());
        hasher.write(&reruns.to_be_bytes());
        hasher.write(&step.to_be_bytes());
        hasher.write(&index.to_be_bytes());
        Self::compose(parent.millis(), parent.shard(), u128::from(hasher.finish()))
    }

    fn millis(self) -> u64 {
        u64::try_from(self.0 >> 80).unwrap_or(0)
    }

    /// The shard it carries.
    #[must_use]
    pub fn shard(self) -> Shard {
        Shard::new(u16::try_from((self.0 >> 64) & 0xfff).unwrap_or(0))
    }

    /// Its 16 bytes, most significant first, as stores keep it.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id of 16 stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

/// Makes task ids. It holds no clock and no randomness: both are passed in.
#[derive(Debug, Default)]
pub struct TaskIds {
    millis: u64,
    counter: u64,
    /// The slot of tasks without a key, and the millisecond since when.
    spread: Option<(u64, Shard)>,
}

impl TaskIds {
    /// A new generator.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            millis: 0,
            counter: 0,
            spread: None,
        }
    }

    /// The slot of a task without a key: one for all of a millisecond, so that such tasks of one generator sort by creation
    /// and those of one call stay together; another one, drawn from `random`, in the next.
    pub fn spread(&mut self, now: Timestamp, random: u64) -> Shard {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        match self.spread {
            Some((since, shard)) if millis <= since => shard,
            _ => {
                // Ids take the low bits of the same draw.
                let shard = Shard::of_hash(random >> (64 - 12));
                self.spread = Some((millis, shard));
                shard
            }
        }
    }

    /// The next id: greater than every earlier one of the same shard, even when `now` steps back.
    pub fn next(&mut self, now: Timestamp, shard: Shard, random: u64) -> TaskId {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        if millis > self.millis {
            (self.millis, self.counter) = (millis, 0);
        } else {
            self.counter += 1;
            if self.counter >> COUNTER_BITS != 0 {
                (self.millis, self.counter) = (self.millis + 1, 0);
            }
        }
        let random = u128::from(random) & ((1 << RANDOM_BITS) - 1);
        TaskId::compose(
            self.millis,
            shard,
            (u128::from(self.counter) << RANDOM_BITS) | random,
        )
    }
}

/// The identity of a running worker's presence in a store; drawn at random, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(u128);

impl SessionId {
    /// An id from 128 random bits (UUID version 4).
    #[must_use]
    pub const fn from_random(high: u64, low: u64) -> Self {
        let bits = ((high as u128) << 64) | low as u128;
        Self((bits & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62))
    }

    /// Its 16 bytes, as stores keep it.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id of 16 stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

/// Text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id has 32 hexadecimal digits in the form 8-4-4-4-12")
    }
}

impl std::error::Error for InvalidId {}

fn parse_uuid(text: &str) -> Result<u128, InvalidId> {
    let dashes_right = text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| matches!(i, 8 | 13 | 18 | 23) == (b == b'-'));
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let right = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !right || !(dashes_right || text.len() == 32) {
        return Err(InvalidId);
    }
    u128::from_str_radix(&digits, 16).map_err(|_| InvalidId)
}

macro_rules! uuid_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let n = self.0;
                write!(
                    f,
                    "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                    n >> 96,
                    (n >> 80) & 0xffff,
                    (n >> 64) & 0xffff,
                    (n >> 48) & 0xffff,
                    n & 0xffff_ffff_ffff
                )
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_uuid(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

uuid_text!(TaskId);
uuid_text!(SessionId);

/// Marks one edit, so that a repeated one is recognised: a random number below 2⁵³.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Nonce(u64);

impl Nonce {
    /// A nonce from 64 random bits, of which it keeps 53; never zero, which stands for "no edit yet".
    #[must_use]
    pub const fn from_random(random: u64) -> Self {
        let bits = random & MAX_VERSION;
        Self(if bits == 0 { 1 } else { bits })
    }

    /// The number stores keep.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::Random as _;

    const SLOT_OF_CUSTOMER_7: u16 = 1_238;

    #[test]
    fn ids_of_a_generator_sort_by_creation_even_when_the_clock_steps_back() {
        let mut ids = TaskIds::new();
        let mut last = TaskId::MIN;
        for (now, random) in [(1_000, u64::MAX), (1_000, 0), (999, 7), (1_001, 0), (-5, 1)] {
            let id = ids.next(Timestamp::from_millis(now), Shard::default(), random);
            assert!(id > last, "{id} after {last}");
            last = id;
        }
    }

    #[test]
    fn a_full_counter_moves_on_to_the_next_millisecond() {
        let mut ids = TaskIds {
            millis: 5,
            counter: (1 << COUNTER_BITS) - 1,
            spread: None,
        };
        let id = ids.next(Timestamp::from_millis(5), Shard::default(), 0);
        assert_eq!(id.millis(), 6);
    }

    #[test]
    fn ids_carry_their_shard_and_are_uuids_of_version_7() {
        let id = TaskIds::new().next(Timestamp::from_millis(1 << 40), Shard::new(0xabc), u64::MAX);
        assert_eq!(id.shard().number(), 0xabc);
        let text = id.to_string();
        assert_eq!(&text[14..15], "7");
        assert!("89ab".contains(&text[19..20]));
        assert_eq!(text.parse::<TaskId>().unwrap(), id);
        assert_eq!(TaskId::from_bytes(id.to_bytes()), id);
    }

    #[test]
    fn slots_of_keys_never_change() {
        // Ids carry them: another hash would look for old tasks in the wrong places.
        assert_eq!(Shard::of_key("customer-7").number(), SLOT_OF_CUSTOMER_7);
        let (kind, key) = (Kind::new("mail").unwrap(), UniqueKey::new("ada").unwrap());
        assert_eq!(Shard::of_unique(&kind, &key), Shard::of_key("mail\0ada"));
        let other = Kind::new("invoice").unwrap();
        assert_ne!(Shard::of_unique(&kind, &key), Shard::of_unique(&other, &key));
        assert_eq!(Shard::all().count(), 4_096);
        assert_eq!(Shard::new(4_096), Shard::new(0));
    }

    #[test]
    fn tasks_without_a_key_sort_by_creation_and_are_spread() {
        let (mut ids, mut slots) = (TaskIds::new(), std::collections::BTreeSet::new());
        let (mut last, random) = (TaskId::MIN, crate::seams::SeededRandom::new(1));
        for millis in 0..200 {
            for _ in 0..3 {
                let (now, random) = (Timestamp::from_millis(millis), random.next_u64());
                let shard = ids.spread(now, random);
                let id = ids.next(now, shard, random);
                assert!(id > last, "{id} after {last}");
                last = id;
                slots.insert(shard);
            }
        }
        assert!(slots.len() > 180, "{}", slots.len());
    }

    #[test]
    fn child_ids_repeat_and_differ_in_each_argument() {
        let parent = TaskIds::new().next(Timestamp::from_millis(77), Shard::new(9), 3);
        let child = TaskId::child(parent, 0, 0, 0);
        assert_eq!(child, TaskId::child(parent, 0, 0, 0));
        assert_eq!(child.shard(), parent.shard());
        for other in [
            TaskId::child(parent, 1, 0, 0),
            TaskId::child(parent, 0, 1, 0),
            TaskId::child(parent, 0, 0, 1),
        ] {
            assert_ne!(child, other);
        }
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for text in [
            "",
            "0",
            "zz7e4567-e89b-72d3-a456-426614174000",
            "017e4567-e89b-72d3-a456-42661417400",
            "+17e4567e89b72d3a456426614174000a",
        ] {
            assert_eq!(text.parse::<TaskId>(), Err(InvalidId), "{text}");
        }
    }
}

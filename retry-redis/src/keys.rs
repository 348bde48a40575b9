//! The keys of a store: all begin with `{namespace}`, so that they share one hash slot, and all are constant, so that every
//! script is given every key it uses.

use std::fmt;

use crate::config::Namespace;

/// A key by what it holds. The order is the order of `KEYS` in the scripts (`lua/part/keys.lua`), which build no name
/// themselves: lanes, sessions and parents are prefixes of members, ordered as bytes (all scores 0), not keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// String: the version of this layout. Written once; it alone is left when every task is forgotten.
    Version,
    /// Hash: id → head of the record (`record.rs`). Written at insert and at every change.
    Hot,
    /// Hash: id → rest of the record. Written at insert, and when something rare of it changes.
    Rest,
    /// Hash: id → payload and headers; id + tag → a rarely written text; id + 16… → a failed attempt.
    Blob,
    /// Sorted set: ids.
    Ids,
    /// Sorted set: queue 0 kind 0 level `run_at` id of pending tasks, level = priority × 2 + suspect. Also the name of the
    /// channel on which hints are published.
    Ready,
    /// Sorted set: id by `alarm_at`.
    Alarms,
    /// Sorted set: ids, one or many in a row, by their `purge_at`.
    Purges,
    /// Sorted set: session id of running tasks.
    Held,
    /// Sorted set: session id of running tasks whose cancel was requested.
    Cancels,
    /// Sorted set: state id of waiting, joining, failed and cancelled tasks.
    Listed,
    /// Sorted set: parent id of children.
    Children,
    /// Hash: kind 0 unique key → the id of its holder.
    Unique,
    /// Hash: queue 0 state → how many tasks.
    Counts,
    /// Hash: session → its state, `lease_until`, description.
    Sessions,
    /// Sorted set: live sessions by `lease_until`.
    Live,
    /// Sorted set: lost and closed sessions by their place in the line of those to be looked at.
    Lost,
    /// Sorted set: paused queues.
    Paused,
    /// Sorted set: ids of rows that were put aside because they cannot be read, and members of indexes that have not their
    /// index's form, by when. It is there to be looked at; nothing reads it.
    Bad,
}

impl Key {
    /// All, in the order of `KEYS`.
    pub(crate) const ALL: [(Self, &'static str); 19] = [
        (Self::Version, "v"),
        (Self::Hot, "h"),
        (Self::Rest, "f"),
        (Self::Blob, "b"),
        (Self::Ids, "i"),
        (Self::Ready, "q"),
        (Self::Alarms, "a"),
        (Self::Purges, "p"),
        (Self::Held, "r"),
        (Self::Cancels, "rc"),
        (Self::Listed, "l"),
        (Self::Children, "c"),
        (Self::Unique, "k"),
        (Self::Counts, "n"),
        (Self::Sessions, "s"),
        (Self::Live, "sl"),
        (Self::Lost, "sx"),
        (Self::Paused, "x"),
        (Self::Bad, "bad"),
    ];
}

/// The names of all keys, built once.
#[derive(Clone)]
pub(crate) struct Keys {
    names: Vec<String>,
}

impl Keys {
    pub(crate) fn new(namespace: &Namespace) -> Self {
        let name = |(_, suffix): &(Key, &str)| format!("{{{}}}:{suffix}", namespace.as_str());
        Self {
            names: Key::ALL.iter().map(name).collect(),
        }
    }

    pub(crate) fn all(&self) -> &[String] {
        &self.names
    }

    /// The channel of the hints.
    pub(crate) fn channel(&self) -> &str {
        let at = Key::ALL.iter().position(|(key, _)| *key == Key::Ready);
        at.map_or("", |at| &self.names[at])
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_distinct_and_share_a_slot() {
        let keys = Keys::new(&Namespace::new("a/b:c").unwrap());
        for (at, name) in keys.all().iter().enumerate() {
            assert!(name.starts_with("{a/b:c}:"), "{name}");
            assert!(!keys.all()[..at].contains(name), "{name}");
        }
        assert_eq!(keys.channel(), "{a/b:c}:q");
    }
}

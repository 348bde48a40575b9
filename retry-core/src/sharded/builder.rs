//! Builds a sharded store, and says why it cannot.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ShardedStore;
use super::member::Member;
use super::placing::Placing;
use crate::clock::{Clock, SystemClock};
use crate::engine::IntoStore;
use crate::id::Shard;
use crate::limits::{MAX_PARTS, PART_CALL_LIMIT};
use crate::name::{InvalidName, Kind};
use crate::store::TaskStore;

/// Why there is no sharded store of these parts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidParts {
    /// There is none.
    None,
    /// There are more than [`MAX_PARTS`].
    TooMany(usize),
    /// A name is invalid.
    Name {
        /// What was given.
        given: String,
        /// The rule it breaks.
        error: InvalidName,
    },
    /// Two parts have this name.
    SameName(String),
    /// Two parts are the very same store.
    SameStore {
        /// The one.
        one: String,
        /// The other.
        other: String,
    },
    /// A part is a sharded store itself.
    Nested(String),
    /// A rule of one's own gave a slot to a part that there is not.
    NoSuchPart {
        /// The slot.
        shard: Shard,
        /// What the rule said.
        part: usize,
    },
    /// Calls cannot be waited for no time at all.
    ZeroLimit,
}

impl fmt::Display for InvalidParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("a sharded store needs at least one part"),
            Self::TooMany(given) => write!(f, "{given} parts, at most {MAX_PARTS} are allowed"),
            Self::Name { given, error } => write!(f, "a part cannot be named {given:?}: {error}"),
            Self::SameName(name) => write!(f, "two parts are named {name:?}"),
            Self::SameStore { one, other } => write!(f, "parts {one:?} and {other:?} are one store"),
            Self::Nested(name) => write!(f, "part {name:?} has parts itself: name its parts here instead"),
            Self::NoSuchPart { shard, part } => {
                write!(
                    f,
                    "slot {} was given to part {part}, which there is not",
                    shard.number()
                )
            }
            Self::ZeroLimit => f.write_str("the limit of a call must be more than zero"),
        }
    }
}

impl std::error::Error for InvalidParts {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name { error, .. } => Some(error),
            _ => None,
        }
    }
}

type Rule = Arc<dyn Fn(Shard) -> usize + Send + Sync>;

/// Builds a [`ShardedStore`].
#[derive(Clone)]
#[must_use]
pub struct Builder {
    parts: Vec<(String, Arc<dyn TaskStore>)>,
    clock: Arc<dyn Clock>,
    limit: Duration,
    rule: Option<Rule>,
    search_all: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            clock: Arc::new(SystemClock::new()),
            limit: PART_CALL_LIMIT,
            rule: None,
            search_all: false,
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("parts", &self.parts)
            .field("limit", &self.limit)
            .field("own rule", &self.rule.is_some())
            .field("search_all", &self.search_all)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Adds a part: a store, an `Arc` of one, or a `&Client`, of which it takes the store only.
    ///
    /// Its name, 1–128 bytes of `[A-Za-z0-9._:/-]`, decides which slots it gets, and must stay what it is as long as its tasks
    /// are there. The order of the parts decides their numbers only.
    pub fn part(mut self, name: impl Into<String>, store: impl IntoStore) -> Self {
        self.parts.push((name.into(), store.into_store()));
        self
    }

    /// Which part keeps the tasks of a slot, by its number in the order of the parts, in place of the names' weights. It is
    /// asked once for each slot.
    pub fn place_by(mut self, rule: impl Fn(Shard) -> usize + Send + Sync + 'static) -> Self {
        self.rule = Some(Arc::new(rule));
        self
    }

    /// How long one call of a part is waited for, [`PART_CALL_LIMIT`] unless told otherwise; to tell its time no part gets more than
    /// [`PART_TIME_LIMIT`](crate::limits::PART_TIME_LIMIT). A migration and an exact count have no limit.
    pub fn call_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Looks for a task in all parts when its own has none of its id, for as long as tasks are stored that were placed by
    /// another list of parts. Each look for an id that there is not then costs a call of every part, and needs all of
    /// them to answer.
    ///
    /// Such tasks are run without it as well, since workers serve each part; only clients would not find them. A unique
    /// key whose slot has moved is not compared with them, so the list is best changed when few of them are open.
    pub const fn search_all_parts(mut self) -> Self {
        self.search_all = true;
        self
    }

    /// The clock by which calls are limited and parts are left alone.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The store.
    ///
    /// # Errors
    /// There is no part, or too many, or two that are one as far as that can be seen. Two ways to one database cannot be told
    /// from two databases: give each part its own.
    pub fn build(self) -> Result<ShardedStore, InvalidParts> {
        self.check()?;
        let names: Vec<&str> = self.parts.iter().map(|(name, _)| name.as_str()).collect();
        let placing = match &self.rule {
            None => Placing::by_weight(&names),
            Some(rule) => Placing::told(names.len(), |shard| rule(shard))
                .map_err(|(shard, part)| InvalidParts::NoSuchPart { shard, part })?,
        };
        let (clock, limit) = (self.clock, self.limit);
        let member = |(name, store)| Member::new(name, store, Arc::clone(&clock), limit);
        Ok(ShardedStore {
            members: self.parts.into_iter().map(member).collect(),
            placing,
            search_all: self.search_all,
        })
    }

    fn check(&self) -> Result<(), InvalidParts> {
        if self.parts.is_empty() {
            return Err(InvalidParts::None);
        }
        if self.parts.len() > MAX_PARTS {
            return Err(InvalidParts::TooMany(self.parts.len()));
        }
        if self.limit.is_zero() {
            return Err(InvalidParts::ZeroLimit);
        }
        for (index, (name, store)) in self.parts.iter().enumerate() {
            if let Err(error) = Kind::new(name) {
                let given = name.clone();
                return Err(InvalidParts::Name { given, error });
            }
            if !store.parts().is_empty() {
                return Err(InvalidParts::Nested(name.clone()));
            }
            for (before, other) in &self.parts[..index] {
                if before == name {
                    return Err(InvalidParts::SameName(name.clone()));
                }
                if Arc::ptr_eq(store, other) {
                    let (one, other) = (before.clone(), name.clone());
                    return Err(InvalidParts::SameStore { one, other });
                }
            }
        }
        Ok(())
    }
}

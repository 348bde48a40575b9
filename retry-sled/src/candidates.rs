//! The candidates of a listing: the ids that an index allows, the newest first, a few at a time.

use std::collections::VecDeque;

use retry_core::id::{SessionId, TaskId};
use retry_core::store::TaskFilter;

use crate::disk::Disk;
use crate::error::Outcome;
use crate::keys::{self, Key};
use crate::members;

/// Ids read at once: the store may be written between two of these.
const AT_ONCE: usize = 256;

/// The ids behind one prefix, from the greatest down.
struct Source {
    prefix: Key,
    /// Ids from this one on were given.
    to: Key,
    ids: VecDeque<TaskId>,
    ended: bool,
}

/// Ids in descending order from one index, or from several merged.
pub(crate) struct Candidates {
    sources: Vec<Source>,
}

impl Candidates {
    /// The tasks that a session holds are read at once: they are no more than its worker asked for.
    pub(crate) fn held(disk: &Disk, session: SessionId, after: Option<TaskId>) -> Outcome<Self> {
        let mut ids: VecDeque<TaskId> = members::all(disk, &keys::held_by(session))?.into();
        ids.make_contiguous().reverse();
        ids.retain(|id| after.is_none_or(|after| *id < after));
        Ok(Self {
            sources: vec![Source {
                prefix: Key::new(),
                to: Key::new(),
                ids,
                ended: true,
            }],
        })
    }

    pub(crate) fn new(filter: &TaskFilter, after: Option<TaskId>) -> Self {
        let sources = prefixes(filter).into_iter().map(|prefix| {
            let to = match after {
                Some(after) => [prefix.as_slice(), &after.to_bytes()].concat(),
                None => keys::behind(&prefix),
            };
            Source {
                prefix,
                to,
                ids: VecDeque::new(),
                ended: false,
            }
        });
        Self {
            sources: sources.collect(),
        }
    }

    pub(crate) fn next(&mut self, disk: &Disk) -> Outcome<Option<TaskId>> {
        for source in &mut self.sources {
            source.fill(disk)?;
        }
        let newest = self
            .sources
            .iter_mut()
            .filter(|source| !source.ids.is_empty())
            .max_by_key(|source| source.ids.front().copied());
        Ok(newest.and_then(|source| source.ids.pop_front()))
    }

    /// Whether the next id is at hand without a look at the store.
    pub(crate) fn is_filled(&self) -> bool {
        let mut sources = self.sources.iter();
        sources.all(|source| source.ended || !source.ids.is_empty())
    }
}

impl Source {
    fn fill(&mut self, disk: &Disk) -> Outcome<()> {
        if self.ended || !self.ids.is_empty() {
            return Ok(());
        }
        let mut last = None;
        disk.scan_back(&self.prefix, &self.to, &mut |key, _| {
            self.ids.extend(keys::id_at_end(key));
            last = Some(key.to_vec());
            self.ids.len() < AT_ONCE
        })?;
        self.ended = self.ids.len() < AT_ONCE;
        self.to = last.unwrap_or_default();
        Ok(())
    }
}

/// What the keys of the narrowest index start with; each ends in an id.
fn prefixes(filter: &TaskFilter) -> Vec<Key> {
    if let Some(parent) = filter.parent {
        return vec![keys::children(parent)];
    }
    let states = &filter.states;
    if !states.is_empty() && states.iter().all(|state| keys::is_listed(*state)) {
        let mut prefixes: Vec<Key> = states.iter().map(|state| keys::listed_in(*state)).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        return prefixes;
    }
    vec![vec![keys::ROW]]
}

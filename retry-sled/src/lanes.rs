//! The lanes of a claim: which of the asked ones hold tasks, found with one seek each, and where their heads are.

use retry_core::id::TaskId;
use retry_core::limits::MAX_CLAIM_KINDS;
use retry_core::priority::Priority;
use retry_core::store::ClaimRequest;
use retry_core::time::Timestamp;

use crate::error::Outcome;
use crate::keys::{self, Key};
use crate::view::View;

/// A place in a lane, in the order of the index.
pub(crate) type Place = (Timestamp, TaskId);

/// A lane that holds tasks, or did before it was drained.
#[derive(Debug)]
pub(crate) struct Lane {
    /// The kind's place in the request.
    pub(crate) kind: usize,
    pub(crate) level: u8,
    /// What its keys start with.
    pub(crate) prefix: Key,
    /// Its first task in the request's window; none when it has been taken.
    pub(crate) head: Option<Place>,
}

/// The asked lanes, found level by level, so that a claim that is full early looks no further.
pub(crate) struct Lanes<'r> {
    request: &'r ClaimRequest,
    /// What the lanes of each kind start with, and the next of its levels that holds a task; none: not looked for yet.
    kinds: Vec<(Key, Option<u8>)>,
    /// All lanes found so far.
    pub(crate) seen: Vec<Lane>,
}

/// No kind has such a level: its search is over.
const END: u8 = 8;

impl<'r> Lanes<'r> {
    pub(crate) fn new(request: &'r ClaimRequest) -> Self {
        let mut kinds = Vec::with_capacity(request.kinds.len().min(MAX_CLAIM_KINDS));
        kinds.extend(request.kinds.iter().map(|(kind, limit)| {
            let next = if *limit > 0 { None } else { Some(END) };
            (keys::kind_lanes(&request.queue, kind), next)
        }));
        Self {
            request,
            kinds,
            seen: Vec::new(),
        }
    }

    /// The lanes of a priority that hold tasks in the request's window: their heads and their places in `seen`.
    pub(crate) fn of_priority(
        &mut self,
        view: &dyn View,
        priority: Priority,
    ) -> Outcome<Vec<(Place, usize)>> {
        let top = keys::level(priority, true);
        let mut heads = Vec::new();
        for kind in 0..self.kinds.len() {
            if self.kinds[kind].1.is_none() {
                self.seek(view, kind, 0)?;
            }
            while let Some(level) = self.kinds[kind].1.filter(|level| *level <= top) {
                let prefix = [self.kinds[kind].0.as_slice(), &[level]].concat();
                let head = self.head(view, kind, level, &prefix)?;
                heads.extend(head.map(|head| (head, self.seen.len())));
                self.seen.push(Lane {
                    kind,
                    level,
                    prefix,
                    head,
                });
                self.seek(view, kind, level + 1)?;
            }
        }
        Ok(heads)
    }

    /// Finds a kind's next level, from `level` on, that holds a task.
    fn seek(&mut self, view: &dyn View, kind: usize, level: u8) -> Outcome<()> {
        let prefix = &self.kinds[kind].0;
        let from = [prefix.as_slice(), &[level]].concat();
        let first = view.first(&from, &keys::behind(prefix))?;
        let found = first.and_then(|key| key.get(prefix.len()).copied());
        self.kinds[kind].1 = Some(found.unwrap_or(END));
        Ok(())
    }

    /// The first task of a lane that `not_before` and `after` allow.
    fn head(&self, view: &dyn View, kind: usize, level: u8, prefix: &[u8]) -> Outcome<Option<Place>> {
        let mut from = prefix.to_vec();
        if let Some(not_before) = self.request.not_before {
            from.extend_from_slice(&keys::ordered(not_before));
        }
        let mark = self.request.after.iter().find(|mark| {
            mark.lane.kind == self.request.kinds[kind].0
                && keys::level(mark.lane.priority, mark.lane.suspect) == level
        });
        if let Some(mark) = mark {
            // The first key behind that of the mark.
            let mut behind = prefix.to_vec();
            behind.extend_from_slice(&keys::ordered(mark.run_at));
            behind.extend_from_slice(&mark.id.to_bytes());
            behind.push(0);
            from = from.max(behind);
        }
        let first = view.first(&from, &keys::behind(prefix))?;
        Ok(first.and_then(|key| keys::place(&key)))
    }

    /// Looks for the head of a lane again.
    pub(crate) fn refresh(&mut self, view: &dyn View, lane: usize) -> Outcome<()> {
        let Lane {
            kind,
            level,
            ref prefix,
            ..
        } = self.seen[lane];
        self.seen[lane].head = self.head(view, kind, level, prefix)?;
        Ok(())
    }

    /// The first due time that is left in the asked lanes.
    pub(crate) fn first_due(&self) -> Option<Timestamp> {
        let until = self.request.not_after.unwrap_or(Timestamp::MAX);
        self.seen
            .iter()
            .filter(|lane| self.request.max_suspects > 0 || lane.level % 2 == 0)
            .filter_map(|lane| Some(lane.head?.0))
            .filter(|run_at| *run_at <= until)
            .min()
    }
}

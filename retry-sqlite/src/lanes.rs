//! The lanes of a claim: which of the asked ones hold tasks, found with one seek each, and where their heads are.

use retry_core::priority::Priority;
use retry_core::store::ClaimRequest;
use retry_core::time::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::error::Outcome;
use crate::memo::{LaneNumber, Memo};
use crate::queries;
use crate::record;

/// A place in a lane: due time and id, in the order of the index. The id is as it is stored, even if it is none.
pub(crate) type Position = (i64, Vec<u8>);

/// A lane that holds tasks, or did before it was drained.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The kind's place in the request.
    pub(crate) kind: usize,
    /// Its number, with the level in the last three bits.
    pub(crate) lane: i64,
    /// Its first task in the request's window; none when it has been taken.
    pub(crate) head: Option<Position>,
}

/// Where the search for a kind's lanes stands.
enum Cursor {
    /// Look at this level or above.
    From(i64),
    /// The next lane, with its first task.
    At(i64, Position),
    End,
}

/// The asked lanes, found level by level so that a claim that is full early looks no further.
pub(crate) struct Lanes<'c, 'r> {
    conn: &'c Connection,
    request: &'r ClaimRequest,
    head: CachedStatement<'c>,
    /// The first lane of each kind; none: it never had a task in this queue.
    first: Vec<Option<i64>>,
    cursors: Vec<Cursor>,
    /// All lanes found so far.
    pub(crate) seen: Vec<Seen>,
}

impl<'c, 'r> Lanes<'c, 'r> {
    pub(crate) fn new(conn: &'c Connection, request: &'r ClaimRequest, memo: &mut Memo) -> Outcome<Self> {
        let cursor = |limit: usize| if limit > 0 { Cursor::From(0) } else { Cursor::End };
        let first = request.kinds.iter().map(|(kind, _)| {
            let number = memo.lane(conn, &request.queue, kind)?;
            Ok(number.map(LaneNumber::first))
        });
        Ok(Self {
            conn,
            request,
            head: conn.prepare_cached(queries::CLAIM_HEAD)?,
            cursors: request.kinds.iter().map(|(_, limit)| cursor(*limit)).collect(),
            first: first.collect::<Outcome<_>>()?,
            seen: Vec::new(),
        })
    }

    /// The lanes of a priority that hold tasks in the request's window: their heads and their places in `seen`.
    pub(crate) fn of_level(&mut self, priority: Priority) -> Outcome<Vec<(Position, usize)>> {
        let top = record::level(priority, 1);
        let mut heads = Vec::new();
        for kind in 0..self.cursors.len() {
            loop {
                match std::mem::replace(&mut self.cursors[kind], Cursor::End) {
                    Cursor::From(level) if level <= top => self.cursors[kind] = self.seek(kind, level)?,
                    Cursor::At(level, first) if level <= top => {
                        self.cursors[kind] = Cursor::From(level + 1);
                        let lane = self.first[kind].unwrap_or(0) + level;
                        let head = self.in_window(kind, lane, first)?;
                        heads.extend(head.clone().map(|head| (head, self.seen.len())));
                        self.seen.push(Seen { kind, lane, head });
                    }
                    later => {
                        self.cursors[kind] = later;
                        break;
                    }
                }
            }
        }
        Ok(heads)
    }

    fn seek(&mut self, kind: usize, level: i64) -> Outcome<Cursor> {
        let Some(first) = self.first[kind] else {
            return Ok(Cursor::End);
        };
        let found = self.head.query_row([first + level], |row| {
            Ok(Cursor::At(row.get(0)?, (row.get(1)?, row.get(2)?)))
        });
        Ok(found.optional()?.unwrap_or(Cursor::End))
    }

    /// A lane's first task that `not_before` and `after` allow, if not `first` then one behind it.
    fn in_window(&self, kind: usize, lane: i64, first: Position) -> Outcome<Option<Position>> {
        let not_before = self.request.not_before.map(Timestamp::as_millis);
        let mark = self.request.after.iter().find(|mark| {
            mark.lane.kind == self.request.kinds[kind].0
                && record::level(mark.lane.priority, u32::from(mark.lane.suspect)) == lane & 7
        });
        let mark: Option<Position> = mark.map(|mark| (mark.run_at.as_millis(), mark.id.to_bytes().to_vec()));
        let early = not_before.is_some_and(|from| first.0 < from);
        let passed = mark.as_ref().is_some_and(|mark| first <= *mark);
        if !early && !passed {
            return Ok(Some(first));
        }
        // Nothing is before the empty id of a millisecond.
        let bound = not_before.map(|from| (from, Vec::new())).max(mark);
        bound.map_or(Ok(None), |bound| self.head_after(lane, &bound))
    }

    /// A lane's first task behind a position.
    pub(crate) fn head_after(&self, lane: i64, bound: &Position) -> Outcome<Option<Position>> {
        let mut statement = self.conn.prepare_cached(queries::CLAIM_HEAD_AFTER)?;
        let found = statement.query_row(params![lane, bound.0, bound.1], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
        Ok(found.optional()?)
    }

    /// The first due time that is left in the asked lanes.
    pub(crate) fn first_due(&self) -> Option<Timestamp> {
        let until = self.request.not_after.map_or(i64::MAX, Timestamp::as_millis);
        self.seen
            .iter()
            .filter(|lane| self.request.max_suspects > 0 || lane.lane % 2 == 0)
            .filter_map(|lane| Some(lane.head.as_ref()?.0))
            .filter(|run_at| *run_at <= until)
            .min()
            .map(Timestamp::from_millis)
    }
}

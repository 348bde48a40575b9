//! Claims (laws 3, 4, 5, 7, 14): lane by lane within each level, or by ids.

use retry_core::id::TaskId;
use retry_core::limits::{MAX_BATCH, MAX_CALL_BYTES};
use retry_core::machine;
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, Claimed, Lane, Mark};
use retry_core::task::{ClaimedTask, State, Task};
use retry_core::time::Timestamp;
use rusqlite::{CachedStatement, Connection, Row, params};

use crate::effects::Effects;
use crate::error::Outcome;
use crate::found::Found;
use crate::insert::{is_live, is_paused};
use crate::lanes::{Lanes, Position};
use crate::memo::Memo;
use crate::queries;
use crate::record::{self, at};

/// So many neighbours are claimed by one statement; for fewer its preparations cost more than it saves.
const RUN: usize = 4;

/// One claim request at work.
pub(crate) struct Claim<'c, 'r> {
    conn: &'c Connection,
    request: &'r ClaimRequest,
    now: Timestamp,
    /// Due times up to this are claimed.
    until: Timestamp,
    left: Left,
    write: CachedStatement<'c>,
    /// Bytes of the answer so far.
    bytes: usize,
    answer: Claimed,
}

/// What a claim may still take; the kinds stand as in the request.
struct Left {
    all: usize,
    suspects: usize,
    kinds: Vec<usize>,
}

/// Answers one claim request.
pub(crate) fn claim(
    conn: &Connection,
    request: &ClaimRequest,
    now: Timestamp,
    memo: &mut Memo,
    effects: &mut Effects,
) -> Outcome<Claimed> {
    let mut answer = Claimed::default();
    answer.session_lost = !is_live(conn, request.session)?;
    if answer.session_lost || is_paused(conn, &request.queue)? {
        return Ok(answer);
    }
    let mut claim = Claim {
        conn,
        request,
        now,
        until: request.not_after.map_or(now, |not_after| not_after.min(now)),
        left: Left {
            all: request.limit,
            suspects: request.max_suspects,
            kinds: request.kinds.iter().map(|(_, limit)| *limit).collect(),
        },
        write: conn.prepare_cached(queries::CLAIM_WRITE)?,
        bytes: 0,
        answer,
    };
    match &request.ids {
        Some(ids) => claim.by_ids(ids, memo, effects)?,
        None => claim.by_lanes(memo, effects)?,
    }
    Ok(claim.answer)
}

impl Left {
    fn of(&self, kind: usize, suspect: bool) -> usize {
        let suspects = if suspect { self.suspects } else { usize::MAX };
        self.kinds[kind].min(self.all).min(suspects)
    }

    fn take(&mut self, kind: usize, suspect: bool) {
        self.all -= 1;
        self.kinds[kind] -= 1;
        self.suspects -= usize::from(suspect);
    }
}

impl Claim<'_, '_> {
    fn by_lanes(&mut self, memo: &mut Memo, effects: &mut Effects) -> Outcome<()> {
        let mut lanes = Lanes::new(self.conn, self.request, memo)?;
        for priority in Priority::ALL {
            let mut heads = lanes.of_level(priority)?;
            heads.sort_unstable();
            for (_, lane) in heads {
                self.drain(&mut lanes, lane, memo, effects)?;
            }
            if self.is_full() {
                self.answer.next_due = Some(self.now);
                break;
            }
        }
        if !self.is_full() {
            self.answer.next_due = lanes.first_due().map(|due| due.max(self.now));
        }
        if self.left.all > 0 {
            self.answer.marks.clear();
        }
        Ok(())
    }

    /// Nothing more fits into the answer.
    fn is_full(&self) -> bool {
        self.left.all == 0 || self.bytes > MAX_CALL_BYTES || self.answer.bad.len() >= MAX_BATCH
    }

    /// Takes what is due from one lane.
    fn drain(
        &mut self,
        lanes: &mut Lanes<'_, '_>,
        lane: usize,
        memo: &mut Memo,
        effects: &mut Effects,
    ) -> Outcome<()> {
        let (kind, number) = (lanes.seen[lane].kind, lanes.seen[lane].lane);
        let Some((priority, suspect)) = record::lane_of(number & 7) else {
            return Ok(());
        };
        while let Some(head) = lanes.seen[lane].head.take() {
            let wanted = self.left.of(kind, suspect);
            if wanted == 0 || self.is_full() || head.0 > self.until.as_millis() {
                lanes.seen[lane].head = Some(head);
                return Ok(());
            }
            let (found, next) = self.read_lane(kind, number, &head, wanted, memo)?;
            lanes.seen[lane].head = match (next, found.last()) {
                (Next::Head(head), _) => Some(head),
                (Next::Unknown, Some(last)) => lanes.head_after(number, &last.position())?,
                (Next::Unknown | Next::End, _) => None,
            };
            let written = self.write_run(number, &head, &found)?;
            for found in found {
                if let Some(task) = self.take(found, written, memo, effects)? {
                    self.left.take(kind, suspect);
                    self.mark(kind, priority, suspect, &task.task);
                    self.answer.tasks.push(task);
                }
            }
        }
        Ok(())
    }

    /// Reads up to `wanted` due rows of a lane, and where the lane goes on.
    fn read_lane(
        &mut self,
        kind: usize,
        lane: i64,
        head: &Position,
        wanted: usize,
        memo: &mut Memo,
    ) -> Outcome<(Vec<Found>, Next)> {
        let mut statement = self.conn.prepare_cached(queries::CLAIM_LANE)?;
        let mut rows = statement.query(params![
            lane,
            head.0,
            head.1,
            i64::try_from(wanted + 1).unwrap_or(i64::MAX),
            self.request.queue.as_str(),
            self.request.kinds[kind].0.as_str(),
        ])?;
        let mut found = Vec::with_capacity(wanted.min(64));
        let mut good = 0;
        while let Some(row) = rows.next()? {
            let run_at: i64 = row.get(at::RUN_AT)?;
            if good == wanted || run_at > self.until.as_millis() || self.bytes > MAX_CALL_BYTES {
                return Ok((found, Next::Head((run_at, record::raw_id(row)))));
            }
            let read = Found::read(row, memo)?;
            if let Found::Good(_, task) = &read {
                good += 1;
                self.bytes += task.payload.len() + task.checkpoint.as_ref().map_or(0, Payload::len);
            }
            found.push(read);
        }
        // Bad rows count in the statement's limit, so behind them there may be more.
        let next = if found.len() > wanted {
            Next::Unknown
        } else {
            Next::End
        };
        Ok((found, next))
    }

    fn mark(&mut self, kind: usize, priority: Priority, suspect: bool, task: &Task) {
        let lane = Lane {
            kind: self.request.kinds[kind].0.clone(),
            priority,
            suspect,
        };
        let (run_at, id) = (task.run_at, task.id);
        match self.answer.marks.last_mut().filter(|mark| mark.lane == lane) {
            Some(mark) => (mark.run_at, mark.id) = (run_at, id),
            None => self.answer.marks.push(Mark { lane, run_at, id }),
        }
    }

    fn by_ids(&mut self, ids: &[TaskId], memo: &mut Memo, effects: &mut Effects) -> Outcome<()> {
        for id in ids {
            if self.is_full() {
                return Ok(());
            }
            let mut statement = self.conn.prepare_cached(queries::CLAIM_ID)?;
            let mut rows = statement.query([id.to_bytes()])?;
            let Some(row) = rows.next()? else { continue };
            let Some((kind, suspect)) = self.asked_lane(row) else {
                continue;
            };
            let found = Found::read(row, memo)?;
            drop(rows);
            if let Some(task) = self.take(found, false, memo, effects)? {
                self.bytes += task.payload.len();
                self.answer.tasks.push(task);
                self.left.take(kind, suspect);
            }
        }
        Ok(())
    }

    /// The kind and the suspect flag of a row that this claim may take.
    fn asked_lane(&self, row: &Row<'_>) -> Option<(usize, bool)> {
        let from = self.request.not_before.unwrap_or(Timestamp::MIN);
        let due = (from.as_millis()..=self.until.as_millis()).contains(&record::int(row, at::RUN_AT).ok()?);
        let pending = record::state(row, at::STATE) == Ok(State::Pending);
        let here = record::text(row, at::QUEUE) == Ok(self.request.queue.as_str());
        let name = record::text(row, at::KIND).ok()?;
        let kind = self
            .request
            .kinds
            .iter()
            .position(|(kind, _)| kind.as_str() == name)?;
        let suspect = record::int(row, at::LEVEL).ok()? % 2 == 1;
        (due && pending && here && self.left.of(kind, suspect) > 0).then_some((kind, suspect))
    }

    /// Claims all the rows that were read from a head on, if they are many and nothing about them is special.
    fn write_run(&self, lane: i64, head: &Position, found: &[Found]) -> Outcome<bool> {
        let Some(last) = found.last().filter(|_| found.len() >= RUN) else {
            return Ok(false);
        };
        if !found.iter().all(Found::is_plain) {
            return Ok(false);
        }
        let last = last.position();
        let written = self.conn.prepare_cached(queries::CLAIM_RUN)?.execute(params![
            lane,
            head.0,
            head.1,
            last.0,
            last.1,
            self.request.session.to_bytes(),
            self.now.as_millis(),
        ])?;
        assert!(written == found.len(), "a claim writes the rows that were read");
        Ok(true)
    }

    /// Writes the claim of a row that is not `written` yet, or puts it aside.
    fn take(
        &mut self,
        found: Found,
        written: bool,
        memo: &mut Memo,
        effects: &mut Effects,
    ) -> Outcome<Option<ClaimedTask>> {
        let (number, mut claimed) = match found {
            Found::Good(number, claimed) => (number, claimed),
            Found::Bad(aside) => {
                aside.write(self.conn, self.now, memo, effects)?;
                self.answer.bad.push(aside.report);
                return Ok(None);
            }
        };
        claimed.task = machine::claim(&claimed.task, self.request.session, self.now);
        let task = &claimed.task;
        memo.claimed(task.id, number, &task.queue);
        if written {
            return Ok(Some(*claimed));
        }
        let written = self.write.execute(params![
            number,
            task.attempt,
            record::stored(task.version),
            self.request.session.to_bytes(),
            self.now.as_millis(),
            task.alarm_at.map(Timestamp::as_millis),
        ])?;
        assert!(written == 1, "a claim writes one row");
        Ok(Some(*claimed))
    }
}

/// Where a lane goes on behind the rows that were read.
enum Next {
    Head(Position),
    Unknown,
    End,
}

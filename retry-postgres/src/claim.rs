//! Claims (laws 3, 4, 5, 7, 14): lane by lane within each level, or by ids.

use std::collections::{HashMap, HashSet};

use retry_core::id::TaskId;
use retry_core::limits::{MAX_BATCH, MAX_CALL_BYTES};
use retry_core::machine;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, Claimed, Lane, Mark};
use retry_core::task::{ClaimedTask, State};
use retry_core::time::Timestamp;
use sqlx::postgres::PgRow;

use crate::aside;
use crate::at_once::{self, AtOnce};
use crate::error::Outcome;
use crate::insert::altered;
use crate::lanes::{self, Head, Look, Position};
use crate::memo::Memo;
use crate::record::{self, Read, at};
use crate::tx::Tx;
use crate::types::{Id, ids};

/// One claim request at work.
struct Claim<'r> {
    request: &'r ClaimRequest,
    now: Timestamp,
    /// Due times up to this are claimed.
    until: Timestamp,
    left: Left,
    /// Bytes of the answer so far.
    bytes: usize,
    answer: Claimed,
    memo: Memo,
}

/// What a claim may still take; the kinds stand as in the request.
struct Left {
    all: usize,
    suspects: usize,
    kinds: Vec<usize>,
}

/// A locked row that is to be claimed.
struct Taken {
    id: TaskId,
    kind: usize,
    level: i16,
}

/// Answers one claim request inside a transaction.
pub(crate) async fn claim(tx: &mut Tx<'_>, request: &ClaimRequest, now: Timestamp) -> Outcome<Claimed> {
    if at_once::may(request) {
        match at_once::claim(tx, request, now).await? {
            AtOnce::Done(claimed) => return Ok(claimed),
            AtOnce::Unfinished(claim) => return at_once::finish(tx, &claim, now).await,
            AtOnce::Several => {}
        }
    }
    by_steps(tx, request, now).await
}

/// Answers one claim request with many statements.
pub(crate) async fn by_steps(tx: &mut Tx<'_>, request: &ClaimRequest, now: Timestamp) -> Outcome<Claimed> {
    let mut claim = Claim {
        request,
        now,
        until: request.not_after.map_or(now, |not_after| not_after.min(now)),
        left: Left {
            all: request.limit,
            suspects: request.max_suspects,
            kinds: request.kinds.iter().map(|(_, limit)| *limit).collect(),
        },
        bytes: 0,
        answer: Claimed::default(),
        memo: Memo::default(),
    };
    let look = lanes::look(tx, request, false).await?;
    claim.answer.session_lost = !look.live;
    if !look.live || look.paused {
        return Ok(claim.answer);
    }
    match &request.ids {
        Some(ids) => claim.by_ids(tx, ids).await?,
        None => claim.by_lanes(tx, look).await?,
    }
    Ok(claim.answer)
}

impl Left {
    fn of(&self, kind: usize, is_suspect: bool) -> usize {
        let suspects = if is_suspect { self.suspects } else { usize::MAX };
        self.kinds[kind].min(self.all).min(suspects)
    }

    /// Takes something, or gives it back.
    fn take(&mut self, kind: usize, is_suspect: bool) {
        self.all -= 1;
        self.kinds[kind] -= 1;
        self.suspects -= usize::from(is_suspect);
    }

    fn give_back(&mut self, kind: usize, is_suspect: bool) {
        self.all += 1;
        self.kinds[kind] += 1;
        self.suspects += usize::from(is_suspect);
    }
}

impl Claim<'_> {
    async fn by_lanes(&mut self, tx: &mut Tx<'_>, mut look: Look) -> Outcome<()> {
        loop {
            let taken = self.lock(tx, &look.heads).await?;
            let is_nothing = taken.is_empty();
            let has_bad = self.write(tx, &taken).await?;
            if self.is_full() {
                self.answer.next_due = Some(self.now);
                break;
            }
            if !is_nothing {
                // What is left now: a due row that somebody else holds counts as well.
                look = lanes::look(tx, self.request, true).await?;
            }
            if !has_bad {
                self.answer.next_due = self.first_due(&look.heads);
                break;
            }
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

    /// Locks due rows, level by level and in each by the lanes' heads.
    async fn lock(&mut self, tx: &mut Tx<'_>, heads: &[Head]) -> Outcome<Vec<Taken>> {
        let mut taken = Vec::new();
        for priority in Priority::ALL {
            let mut lanes: Vec<&Head> = heads
                .iter()
                .filter(|head| head.priority() == Some(priority) && head.position.0 <= self.until.as_millis())
                .collect();
            lanes.sort_unstable_by_key(|head| head.position);
            for lane in lanes {
                if !self.is_full() && self.left.of(lane.kind, lane.is_suspect()) > 0 {
                    self.lock_lane(tx, lane, &mut taken).await?;
                }
            }
        }
        Ok(taken)
    }

    async fn lock_lane(&mut self, tx: &mut Tx<'_>, lane: &Head, taken: &mut Vec<Taken>) -> Outcome<()> {
        let wanted = self.left.of(lane.kind, lane.is_suspect());
        let statement = tx
            .query(&tx.sql.claim_take)
            .bind(self.request.queue.as_str().to_owned())
            .bind(self.request.kinds[lane.kind].0.as_str().to_owned())
            .bind(lane.level)
            .bind(self.until.as_millis())
            .bind(lane.position.0)
            .bind(Id::from(lane.position.1))
            .bind(record::limit(wanted));
        let rows = tx.rows(statement).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let position: Position = (
                record::value(row, 1).map_err(altered)?,
                record::task_id(row, 0).map_err(altered)?,
            );
            found.push((position, row));
        }
        // The server sorts before it waits for nothing, and still promises no order.
        found.sort_unstable_by_key(|(position, _)| *position);
        let sizes = note_sizes(tx, found.iter().map(|(_, row)| *row)).await?;
        for ((run_at, id), row) in found {
            if self.bytes > MAX_CALL_BYTES {
                break;
            }
            self.bytes += size(row, id, &sizes);
            self.left.take(lane.kind, lane.is_suspect());
            self.mark(lane, run_at, id);
            taken.push(Taken {
                id,
                kind: lane.kind,
                level: lane.level,
            });
        }
        Ok(())
    }

    fn mark(&mut self, head: &Head, run_at: i64, id: TaskId) {
        let Some(priority) = head.priority() else { return };
        let lane = Lane {
            kind: self.request.kinds[head.kind].0.clone(),
            priority,
            suspect: head.is_suspect(),
        };
        let run_at = Timestamp::from_millis(run_at);
        match self.answer.marks.iter_mut().find(|mark| mark.lane == lane) {
            Some(mark) => (mark.run_at, mark.id) = (run_at, id),
            None => self.answer.marks.push(Mark { lane, run_at, id }),
        }
    }

    /// The first due time that is left in the asked lanes.
    fn first_due(&self, heads: &[Head]) -> Option<Timestamp> {
        let until = self.request.not_after.map_or(i64::MAX, Timestamp::as_millis);
        heads
            .iter()
            .filter(|head| self.request.max_suspects > 0 || !head.is_suspect())
            .map(|head| head.position.0)
            .filter(|run_at| *run_at <= until)
            .min()
            .map(|run_at| Timestamp::from_millis(run_at).max(self.now))
    }

    /// Takes tasks by their ids. Only rows that can be claimed are locked, and no more than fit, so that a claim beside this
    /// one finds the others free.
    async fn by_ids(&mut self, tx: &mut Tx<'_>, asked: &[TaskId]) -> Outcome<()> {
        let statement = tx.query(&tx.sql.claim_look_ids).bind(ids(asked.iter().copied()));
        let rows = by_id(tx.rows(statement).await?)?;
        let mut seen = HashSet::new();
        let mut untried = asked.iter().copied().filter(|id| seen.insert(*id));
        let mut taken = Vec::new();
        loop {
            let mut tried = Vec::new();
            while tried.len() < self.left.all
                && let Some(id) = untried.next()
            {
                let lane = rows.get(&id).map(|row| self.asked_lane(row, id));
                tried.extend(matches!(lane, Some(Ok(Some(_)))).then_some(id));
            }
            if tried.is_empty() || self.is_full() {
                break;
            }
            self.lock_ids(tx, tried, &mut taken).await?;
        }
        self.write(tx, &taken).await?;
        Ok(())
    }

    async fn lock_ids(&mut self, tx: &mut Tx<'_>, tried: Vec<TaskId>, taken: &mut Vec<Taken>) -> Outcome<()> {
        let statement = tx.query(&tx.sql.claim_take_ids).bind(ids(tried.iter().copied()));
        let rows = by_id(tx.rows(statement).await?)?;
        let sizes = note_sizes(tx, rows.values()).await?;
        for id in tried {
            let Some(row) = rows.get(&id) else { continue };
            let Ok(Some(lane)) = self.asked_lane(row, id) else {
                continue;
            };
            if self.is_full() {
                break;
            }
            self.bytes += size(row, id, &sizes);
            self.left.take(lane.kind, lane.level % 2 == 1);
            taken.push(lane);
        }
        Ok(())
    }

    /// The lane of a row that this claim may take.
    fn asked_lane(&self, row: &PgRow, id: TaskId) -> Read<Option<Taken>> {
        let from = self.request.not_before.unwrap_or(Timestamp::MIN);
        let is_due = (from..=self.until).contains(&record::time(row, 1)?);
        let is_pending = record::state(row, 4)? == State::Pending;
        let level: i16 = record::value(row, 5)?;
        let is_here = record::value::<&str>(row, 6)? == self.request.queue.as_str();
        let name: &str = record::value(row, 7)?;
        let kind = self
            .request
            .kinds
            .iter()
            .position(|(kind, _)| kind.as_str() == name);
        let may = |kind: &usize| is_due && is_pending && is_here && self.left.of(*kind, level % 2 == 1) > 0;
        Ok(kind.filter(may).map(|kind| Taken { id, kind, level }))
    }

    /// Writes the claim of locked rows; answers whether some could not be read and were put aside.
    async fn write(&mut self, tx: &mut Tx<'_>, taken: &[Taken]) -> Outcome<bool> {
        if taken.is_empty() {
            return Ok(false);
        }
        let statement = tx
            .query(&tx.sql.claim_write)
            .bind(Id::from(self.request.session))
            .bind(self.now.as_millis())
            .bind(ids(taken.iter().map(|row| row.id)));
        let rows = tx.rows(statement).await?;
        let mut read = HashMap::with_capacity(rows.len());
        for row in &rows {
            read.insert(record::task_id(row, at::ID).map_err(altered)?, row);
        }
        let mut bad = Vec::new();
        for Taken { id, kind, level } in taken {
            let Some(row) = read.get(id) else { continue };
            match claimed_task(row, &mut self.memo) {
                Ok(mut claimed) => {
                    claimed.task = machine::claim(&claimed.task, self.request.session, self.now);
                    self.answer.tasks.push(claimed);
                }
                Err(damage) => {
                    self.left.give_back(*kind, level % 2 == 1);
                    bad.push((*row, damage));
                }
            }
        }
        let has_bad = !bad.is_empty();
        if has_bad {
            self.answer
                .bad
                .extend(aside::put(tx, &bad, aside::Read::Unclaimed, self.now).await?);
        }
        Ok(has_bad)
    }
}

fn by_id(rows: Vec<PgRow>) -> Outcome<HashMap<TaskId, PgRow>> {
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        found.insert(record::task_id(&row, at::ID).map_err(altered)?, row);
    }
    Ok(found)
}

pub(crate) fn claimed_task(row: &PgRow, memo: &mut Memo) -> Read<ClaimedTask> {
    Ok(ClaimedTask {
        task: record::task(row, memo)?,
        payload: record::payload(row, at::MORE)?,
        headers: record::headers(row, at::MORE + 1)?,
        checkpoint: record::opt_payload(row, at::MORE + 2)?,
        completion: record::opt_completion(row, at::MORE + 3)?,
    })
}

/// The sizes of the notes of those rows that have one.
async fn note_sizes<'a>(
    tx: &mut Tx<'_>,
    rows: impl Iterator<Item = &'a PgRow> + Send,
) -> Outcome<HashMap<TaskId, usize>> {
    let mut noted = Vec::new();
    for row in rows {
        if record::value(row, 3).map_err(altered)? {
            noted.push(record::task_id(row, 0).map_err(altered)?);
        }
    }
    let mut sizes = HashMap::new();
    if noted.is_empty() {
        return Ok(sizes);
    }
    let statement = tx.query(&tx.sql.note_bytes).bind(ids(noted));
    for row in tx.rows(statement).await? {
        let bytes: i32 = record::value(&row, 1).map_err(altered)?;
        sizes.insert(
            record::task_id(&row, 0).map_err(altered)?,
            usize::try_from(bytes).unwrap_or(0),
        );
    }
    Ok(sizes)
}

/// What a locked row adds to the answer.
fn size(row: &PgRow, id: TaskId, notes: &HashMap<TaskId, usize>) -> usize {
    let body = record::value::<i32>(row, 2).unwrap_or(0);
    usize::try_from(body).unwrap_or(0) + notes.get(&id).copied().unwrap_or(0)
}

//! Claims (laws 3, 4, 5, 7, 14): lane by lane within each level, or by ids.

use std::collections::HashMap;

use retry_core::id::TaskId;
use retry_core::limits::{MAX_BATCH, MAX_CALL_BYTES};
use retry_core::machine;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, Claimed, Lane, Mark};
use retry_core::task::ClaimedTask;
use retry_core::time::Timestamp;
use sqlx::mysql::MySqlRow;

use crate::args::{Args, ids};
use crate::aside;
use crate::db::Db;
use crate::effects::Effects;
use crate::error::Outcome;
use crate::hot::Hot;
use crate::lanes::{Lanes, before};
use crate::leases::Leases;
use crate::record::{self, Damage, Read, at};
use crate::running;

/// One claim request at work.
pub(crate) struct Claim<'r> {
    request: &'r ClaimRequest,
    now: Timestamp,
    /// Due times up to this are claimed.
    until: Timestamp,
    left: Left,
    /// Bytes of the answer so far.
    bytes: usize,
    answer: Claimed,
}

/// What a claim may still take; the kinds stand as in the request.
#[derive(Clone)]
pub(crate) struct Left {
    all: usize,
    suspects: usize,
    kinds: Vec<usize>,
}

/// What `claim_lane` found.
struct Page {
    /// The rows that are locked now.
    rows: Vec<MySqlRow>,
    /// How many places there were, free or not.
    places: usize,
    /// The last of them.
    last: Option<(i64, Vec<u8>)>,
}

/// A locked row, and the lane it counts in.
struct Pick {
    hot: Hot,
    row: MySqlRow,
    kind: usize,
    suspect: bool,
}

/// Answers one claim request.
pub(crate) async fn claim(
    db: &mut Db<'_>,
    request: &ClaimRequest,
    now: Timestamp,
    leases: &Leases,
    effects: &mut Effects,
) -> Outcome<Claimed> {
    let mut answer = Claimed::default();
    let lease = leases.get(&(request.session, request.queue.clone()));
    answer.session_lost = lease.is_none();
    if lease != Some(&true) || request.limit == 0 {
        return Ok(answer);
    }
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
        answer,
    };
    match &request.ids {
        Some(ids) => claim.by_ids(db, ids, effects).await?,
        None => claim.by_lanes(db, effects).await?,
    }
    Ok(claim.answer)
}

impl Page {
    fn of(mut rows: Vec<MySqlRow>) -> Self {
        let place = |row: &MySqlRow| {
            let run_at = record::int(row, locked::PLACE).ok()?;
            Some((run_at, record::id(row, locked::PLACE + 1).ok()?.to_vec()))
        };
        let (places, last) = (rows.len(), rows.iter().filter_map(place).max());
        rows.retain(|row| !matches!(record::opt_bytes(row, at::ID), Ok(None)));
        Self { rows, places, last }
    }
}

impl Left {
    pub(crate) fn of(&self, kind: usize, suspect: bool) -> usize {
        let suspects = if suspect { self.suspects } else { usize::MAX };
        self.kinds[kind].min(self.all).min(suspects)
    }

    fn take(&mut self, kind: usize, suspect: bool) {
        self.all -= 1;
        self.kinds[kind] -= 1;
        self.suspects -= usize::from(suspect);
    }

    fn give_back(&mut self, kind: usize, suspect: bool) {
        self.all += 1;
        self.kinds[kind] += 1;
        self.suspects += usize::from(suspect);
    }
}

impl Claim<'_> {
    async fn by_lanes(&mut self, db: &mut Db<'_>, effects: &mut Effects) -> Outcome<()> {
        loop {
            let bad = self.answer.bad.len();
            let mut lanes = Lanes::peek(db, self.request, &self.left).await?;
            let mut picks = Vec::new();
            for priority in Priority::ALL {
                for lane in lanes.of_level(priority) {
                    self.drain(db, &mut lanes, lane, &mut picks, effects).await?;
                }
            }
            self.write(db, picks, effects).await?;
            if self.is_full() {
                self.answer.next_due = Some(self.now);
                break;
            }
            // Rows that cannot be read took the places of others.
            if self.answer.bad.len() == bad {
                let due = lanes.first_due(db, self.now).await?;
                self.answer.next_due = due.map(|due| due.max(self.now));
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

    /// Locks what is due in one lane.
    async fn drain(
        &mut self,
        db: &mut Db<'_>,
        lanes: &mut Lanes<'_>,
        lane: usize,
        picks: &mut Vec<Pick>,
        effects: &mut Effects,
    ) -> Outcome<()> {
        let (kind, level, head) = (
            lanes.seen[lane].kind,
            lanes.seen[lane].level,
            lanes.seen[lane].head,
        );
        let Some((priority, suspect)) = record::lane_of(level) else {
            return Ok(());
        };
        let wanted = self.left.of(kind, suspect);
        let Some(head) =
            head.filter(|head| head.0 <= self.until.as_millis() && wanted > 0 && !self.is_full())
        else {
            return Ok(());
        };
        let mut behind = before(head);
        let first = picks.len();
        loop {
            let wanted = self.left.of(kind, suspect);
            let page = Page::of(self.lock_lane(db, kind, level, &behind, wanted).await?);
            let is_last = page.places < wanted;
            lanes.seen[lane].drained(is_last);
            let passed_over = page.places > page.rows.len();
            for row in page.rows {
                if self.bytes > MAX_CALL_BYTES {
                    lanes.seen[lane].drained(false);
                    break;
                }
                picks.extend(self.pick(db, row, kind, suspect, effects).await?);
            }
            // What others have locked stands in for as many that come behind.
            let Some(last) = page.last.filter(|_| passed_over && !is_last && !self.is_full()) else {
                break;
            };
            behind = last;
        }
        picks[first..].sort_by_key(|pick| (pick.hot.run_at, pick.hot.id));
        if let Some(last) = picks[first..].last() {
            self.mark(&last.hot, priority, suspect);
        }
        Ok(())
    }

    /// Locks `wanted` places of a lane, or those of them that are free.
    async fn lock_lane(
        &self,
        db: &mut Db<'_>,
        kind: usize,
        level: i64,
        (after, behind): &(i64, Vec<u8>),
        wanted: usize,
    ) -> Outcome<Vec<MySqlRow>> {
        let place = |args: Args| {
            args.with(self.until.as_millis())
                .with(*after)
                .with(*after)
                .with(behind.as_slice())
        };
        let lane = Args::new()
            .with(self.request.queue.as_str().as_bytes())
            .with(self.request.kinds[kind].0.as_str().as_bytes())
            .with(level);
        let args = place(place(lane).with(record::length(wanted)));
        db.rows(&db.q.claim_lane, args).await
    }

    /// Takes a locked row, or puts it aside.
    async fn pick(
        &mut self,
        db: &mut Db<'_>,
        row: MySqlRow,
        kind: usize,
        suspect: bool,
        effects: &mut Effects,
    ) -> Outcome<Option<Pick>> {
        match record::hot(&row) {
            Ok(hot) => {
                let bytes = [locked::BYTES, locked::BYTES + 1];
                self.bytes += bytes
                    .map(|column| record::opt_int(&row, column).ok().flatten())
                    .into_iter()
                    .flatten()
                    .filter_map(|n| usize::try_from(n).ok())
                    .sum::<usize>();
                self.left.take(kind, suspect);
                Ok(Some(Pick {
                    hot,
                    row,
                    kind,
                    suspect,
                }))
            }
            Err(damage) => {
                let parent = record::opt_id(&row, at::PARENT)
                    .ok()
                    .flatten()
                    .map(TaskId::from_bytes);
                let report = record::bad(&row, &damage);
                self.answer
                    .bad
                    .push(aside::write(db, report, parent, self.now, effects).await?);
                Ok(None)
            }
        }
    }

    fn mark(&mut self, hot: &Hot, priority: Priority, suspect: bool) {
        let lane = Lane {
            kind: hot.kind.clone(),
            priority,
            suspect,
        };
        let (run_at, id) = (hot.run_at, hot.id);
        match self.answer.marks.iter_mut().find(|mark| mark.lane == lane) {
            Some(mark) => (mark.run_at, mark.id) = (run_at, id),
            None => self.answer.marks.push(Mark { lane, run_at, id }),
        }
    }

    async fn by_ids(&mut self, db: &mut Db<'_>, wanted: &[TaskId], effects: &mut Effects) -> Outcome<()> {
        let mut sorted: Vec<[u8; 16]> = wanted.iter().map(|id| id.to_bytes()).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let from = self.request.not_before.unwrap_or(Timestamp::MIN);
        let (queue, until) = (&self.request.queue, self.until);
        let args = |list: &[[u8; 16]]| {
            Args::new()
                .with(ids(list))
                .with(queue.as_str().as_bytes())
                .with(from.as_millis())
                .with(until.as_millis())
        };
        let found = db.rows(&db.q.claim_find, args(&sorted)).await?;
        let mut found: HashMap<[u8; 16], (usize, bool)> = found
            .iter()
            .filter_map(|row| Some((record::id(row, 0).ok()?, self.lane(row, 1)?)))
            .collect();
        let mut open: Vec<([u8; 16], (usize, bool))> = wanted
            .iter()
            .filter_map(|id| found.remove_entry(&id.to_bytes()))
            .collect();
        let mut picks = Vec::new();
        while !self.is_full() {
            // What the claim has no room for is not locked, or others would pass over it.
            let mut left = self.left.clone();
            let (chosen, rest): (Vec<_>, Vec<_>) = open.into_iter().partition(|(_, (kind, suspect))| {
                let (kind, suspect) = (*kind, *suspect);
                let has_room = left.of(kind, suspect) > 0;
                if has_room {
                    left.take(kind, suspect);
                }
                has_room
            });
            if chosen.is_empty() {
                break;
            }
            let chosen: Vec<[u8; 16]> = chosen.into_iter().map(|(id, _)| id).collect();
            let rows = db.rows(&db.q.claim_ids, args(&chosen)).await?;
            let mut rows: HashMap<[u8; 16], MySqlRow> = rows
                .into_iter()
                .map(|row| (record::id(&row, at::ID).unwrap_or_default(), row))
                .collect();
            for row in chosen.iter().filter_map(|id| rows.remove(id)) {
                let Some((kind, suspect)) = self.lane(&row, at::KIND) else {
                    continue;
                };
                if self.left.of(kind, suspect) > 0 && !self.is_full() {
                    picks.extend(self.pick(db, row, kind, suspect, effects).await?);
                }
            }
            open = rest;
        }
        self.write(db, picks, effects).await
    }

    /// The place of a row's kind in the request, and whether it is a suspect. The level stands behind the kind.
    fn lane(&self, row: &MySqlRow, column: usize) -> Option<(usize, bool)> {
        let name = record::text(row, column).ok()?;
        let mut kinds = self.request.kinds.iter();
        let kind = kinds.position(|(kind, _)| kind.as_str() == name)?;
        Some((
            kind,
            record::int(row, column + 1).is_ok_and(|level| level % 2 == 1),
        ))
    }

    /// Makes locked rows running, and puts those aside whose bodies cannot be read.
    async fn write(&mut self, db: &mut Db<'_>, picks: Vec<Pick>, effects: &mut Effects) -> Outcome<()> {
        if picks.is_empty() {
            return Ok(());
        }
        let bodies = bodies(db, &picks).await?;
        let mut written = Vec::with_capacity(picks.len());
        for Pick {
            hot,
            row,
            kind,
            suspect,
        } in picks
        {
            let (id, parent, version) = (hot.id, hot.parent, hot.version);
            let claimed = match bodies.get(&id.to_bytes()) {
                None => claimed_task(hot, &row),
                Some(body) => task_of_body(hot, body),
            };
            match claimed {
                Ok(mut claimed) => {
                    claimed.task = machine::claim(&claimed.task, self.request.session, self.now);
                    written.push(claimed);
                }
                Err(Damage(reason)) => {
                    self.left.give_back(kind, suspect);
                    let report = retry_core::store::BadRecord {
                        id,
                        version,
                        reason: reason.to_owned(),
                    };
                    self.answer
                        .bad
                        .push(aside::write(db, report, parent, self.now, effects).await?);
                }
            }
        }
        running::write(db, &written, self.request.session, self.now).await?;
        self.answer.tasks.append(&mut written);
        Ok(())
    }
}

/// Where the columns of `claim_lane` and `claim_ids` stand behind the record.
mod locked {
    use crate::record::at;

    pub(super) const PAYLOAD: usize = at::MORE;
    pub(super) const HEADERS: usize = at::MORE + 1;
    /// Of the body, then of the note.
    pub(super) const BYTES: usize = at::MORE + 2;
    /// In `claim_lane`: the time of the place, then its id.
    pub(super) const PLACE: usize = at::MORE + 4;
}

/// What is kept apart of the rows that are claimed.
async fn bodies(db: &mut Db<'_>, picks: &[Pick]) -> Outcome<HashMap<[u8; 16], MySqlRow>> {
    let apart = picks.iter().filter(|pick| pick.hot.apart || pick.hot.noted);
    let list: Vec<[u8; 16]> = apart.map(|pick| pick.hot.id.to_bytes()).collect();
    if list.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = db.rows(&db.q.claim_bodies, Args::new().with(ids(&list))).await?;
    let by_id = |row| (record::id(&row, 0).unwrap_or_default(), row);
    Ok(rows.into_iter().map(by_id).collect())
}

/// The task of a locked row of which nothing is kept apart.
fn claimed_task(hot: Hot, row: &MySqlRow) -> Read<ClaimedTask> {
    Ok(ClaimedTask {
        task: record::whole(hot, row, at::COLD)?,
        payload: record::payload(row, locked::PAYLOAD)?,
        headers: record::headers(row, locked::HEADERS)?,
        checkpoint: None,
        completion: None,
    })
}

/// The task of a hot row and of a row of `claim_bodies`.
fn task_of_body(hot: Hot, row: &MySqlRow) -> Read<ClaimedTask> {
    Ok(ClaimedTask {
        task: record::whole(hot, row, 1)?,
        payload: record::payload(row, 5)?,
        headers: record::headers(row, 6)?,
        checkpoint: record::opt_payload(row, 7)?,
        completion: record::opt_completion(row, 8)?,
    })
}

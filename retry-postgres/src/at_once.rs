//! A claim in one statement, which is all that a woken worker waits for: where one lane has something due, it locks, writes and
//! answers at once. Whoever asks for ids, or for what lies behind a mark, and whoever finds several lanes due, goes the way of
//! many statements (`claim.rs`), which is the reference.

use retry_core::id::TaskId;
use retry_core::limits::MAX_CALL_BYTES;
use retry_core::machine;
use retry_core::store::{ClaimRequest, Claimed, Lane, Mark, StoreError};
use retry_core::task::ClaimedTask;
use retry_core::time::Timestamp;
use sqlx::postgres::PgRow;

use crate::aside;
use crate::claim::claimed_task;
use crate::error::Outcome;
use crate::insert;
use crate::memo::Memo;
use crate::record::{self, Damage, at};
use crate::tx::Tx;
use crate::types::{Id, ids};

/// Where the statement's own columns stand, behind payload, headers, checkpoint and completion.
mod column {
    use super::at;

    pub(super) const LIVE: usize = at::MORE + 4;
    pub(super) const PAUSED: usize = at::MORE + 5;
    pub(super) const LANES: usize = at::MORE + 6;
    pub(super) const KIND: usize = at::MORE + 7;
    pub(super) const LEVEL: usize = at::MORE + 8;
    pub(super) const NEXT: usize = at::MORE + 9;
    pub(super) const VERSIONS: usize = at::MORE + 10;
}

/// How a claim at once ended.
#[derive(Debug, Clone)]
pub(crate) enum AtOnce {
    Done(Claimed),
    /// Several lanes have something due: nothing was claimed.
    Several,
    /// It was claimed, and then there is more to do in a transaction: [`finish`].
    Unfinished(Unfinished),
}

/// A claim of which some rows changed just before they were locked, or cannot be read.
#[derive(Debug, Clone)]
pub(crate) struct Unfinished {
    answer: Claimed,
    claimed: Vec<TaskId>,
}

/// Whether a claim may be made at once.
pub(crate) fn may(request: &ClaimRequest) -> bool {
    request.ids.is_none() && request.not_before.is_none() && request.after.is_empty()
}

/// Makes the claim of a request that [`may`] be made at once.
pub(crate) async fn claim(tx: &mut Tx<'_>, request: &ClaimRequest, now: Timestamp) -> Outcome<AtOnce> {
    let asked = || request.kinds.iter().filter(|(_, limit)| *limit > 0);
    let kinds: Vec<&str> = asked().map(|(kind, _)| kind.as_str()).collect();
    let limits: Vec<i64> = asked().map(|(_, limit)| record::limit(*limit)).collect();
    let told = request.not_after.unwrap_or(Timestamp::MAX);
    let statement = tx
        .query(&tx.sql.claim_at_once)
        .bind(Id::from(request.session))
        .bind(request.queue.as_str().to_owned())
        .bind(kinds)
        .bind(limits)
        .bind(record::limit(request.limit))
        .bind(record::limit(request.max_suspects))
        .bind(told.min(now).as_millis())
        .bind(told.as_millis())
        .bind(record::limit(MAX_CALL_BYTES))
        .bind(now.as_millis());
    let rows = tx.rows(statement).await?;
    let mut answer = Claimed::default();
    let Some(first) = rows.first() else {
        return Ok(AtOnce::Done(answer));
    };
    answer.session_lost = !record::value::<bool>(first, column::LIVE).map_err(altered)?;
    if answer.session_lost || record::value::<bool>(first, column::PAUSED).map_err(altered)? {
        return Ok(AtOnce::Done(answer));
    }
    if record::value::<i64>(first, column::LANES).map_err(altered)? > 1 {
        return Ok(AtOnce::Several);
    }
    let left: Option<i64> = record::value(first, column::NEXT).map_err(altered)?;
    answer.next_due = left.map(|left| Timestamp::from_millis(left).max(now));
    let read = read(&rows)?;
    if read.claimed.is_empty() {
        return Ok(AtOnce::Done(answer));
    }
    if read.claimed.len() == request.limit {
        answer.next_due = Some(now);
        let kind: i64 = record::value(first, column::KIND).map_err(altered)?;
        let level: i16 = record::value(first, column::LEVEL).map_err(altered)?;
        answer.marks.extend(mark(request, kind, level, &read.tasks));
    }
    let versions: i64 = record::value(first, column::VERSIONS).map_err(altered)?;
    let claimed = read.claimed;
    if read.tasks.len() < claimed.len() || read.versions != versions {
        return Ok(AtOnce::Unfinished(Unfinished { answer, claimed }));
    }
    let claim = |mut claimed: ClaimedTask| {
        claimed.task = machine::claim(&claimed.task, request.session, now);
        claimed
    };
    answer.tasks = read.tasks.into_iter().map(claim).collect();
    Ok(AtOnce::Done(answer))
}

/// The answer of a statement that has claimed cannot be read: somebody altered the tables.
fn altered(damage: Damage) -> StoreError {
    insert::altered(damage).into_unknown()
}

/// The rows of an answer, in the order of their lane.
struct Rows {
    claimed: Vec<TaskId>,
    /// Those that can be read.
    tasks: Vec<ClaimedTask>,
    versions: i64,
}

fn read(rows: &[PgRow]) -> Outcome<Rows> {
    let (mut claimed, mut tasks, mut versions) = (Vec::new(), Vec::new(), 0i64);
    let mut memo = Memo::default();
    for row in rows {
        let Some(id) = record::value::<Option<Id>>(row, at::ID).map_err(altered)? else {
            continue;
        };
        claimed.push(TaskId::from(id));
        versions = versions.saturating_add(record::value(row, at::VERSION).map_err(altered)?);
        tasks.extend(claimed_task(row, &mut memo).ok());
    }
    tasks.sort_unstable_by_key(|claimed| (claimed.task.run_at, claimed.task.id));
    Ok(Rows {
        claimed,
        tasks,
        versions,
    })
}

/// The place of the last task taken; `kind` counts the asked kinds from one.
fn mark(request: &ClaimRequest, kind: i64, level: i16, tasks: &[ClaimedTask]) -> Option<Mark> {
    let asked = request.kinds.iter().filter(|(_, limit)| *limit > 0);
    let (kind, _) = asked.into_iter().nth(usize::try_from(kind - 1).ok()?)?;
    let (priority, suspect) = record::lane_of(level)?;
    let last = &tasks.last()?.task;
    let lane = Lane {
        kind: kind.clone(),
        priority,
        suspect,
    };
    Some(Mark {
        lane,
        run_at: last.run_at,
        id: last.id,
    })
}

/// Reads claimed rows as they are now, and puts aside what cannot be read.
pub(crate) async fn finish(tx: &mut Tx<'_>, claim: &Unfinished, now: Timestamp) -> Outcome<Claimed> {
    let Unfinished { mut answer, claimed } = claim.clone();
    let statement = tx.query(&tx.sql.claim_again).bind(ids(claimed));
    let rows = tx.rows(statement).await?;
    let mut memo = Memo::default();
    let mut bad = Vec::new();
    for row in &rows {
        match claimed_task(row, &mut memo) {
            Ok(claimed) => answer.tasks.push(claimed),
            Err(damage) => bad.push((row, damage)),
        }
    }
    answer
        .tasks
        .sort_unstable_by_key(|claimed| (claimed.task.run_at, claimed.task.id));
    if !bad.is_empty() {
        // What they took up in the answer may be filled anew.
        answer.next_due = Some(now);
        answer.marks.clear();
        answer.bad = aside::put(tx, &bad, aside::Read::Claimed, now).await?;
    }
    Ok(answer)
}

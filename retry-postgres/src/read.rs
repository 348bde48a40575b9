//! Reads (laws 11, 12, 14): one task, and listings.

use std::collections::HashMap;

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{MAX_CALL_BYTES, MAX_EXAMINED};
use retry_core::payload::Payload;
use retry_core::store::{Listed, Page, StoreError, StoreErrorKind, TaskFilter};
use retry_core::task::{ClaimedTask, TaskDetail, TaskSummary};
use retry_core::time::Timestamp;
use sqlx::postgres::PgRow;

use crate::candidates::{Candidate, Candidates};
use crate::error::Outcome;
use crate::insert::altered;
use crate::memo::Memo;
use crate::record::{self, Damage, Read, at};
use crate::tx::Tx;
use crate::types::{Id, ids};

/// Whole rows read at a time, and when they come with their outputs, which may be large.
const ROWS: usize = 200;
const ROWS_WITH_OUTPUT: usize = 8;

pub(crate) async fn get(tx: &mut Tx<'_>, id: TaskId) -> Outcome<Option<TaskDetail>> {
    let statement = tx.query(&tx.sql.get).bind(Id::from(id));
    let Some(row) = tx.row(statement).await? else {
        return Ok(None);
    };
    let detail = detail(&row, &mut Memo::default());
    detail.map(Some).map_err(|Damage(reason)| {
        let message = format!("the stored task {id} cannot be read: {reason}; repair its row or delete it");
        StoreError::rejected(StoreErrorKind::Corrupt, message).into()
    })
}

fn detail(row: &PgRow, memo: &mut Memo) -> Read<TaskDetail> {
    let mut detail = TaskDetail::new(ClaimedTask {
        task: record::task(row, memo)?,
        payload: record::payload(row, at::MORE)?,
        headers: record::headers(row, at::MORE + 1)?,
        checkpoint: record::opt_payload(row, at::MORE + 2)?,
        completion: record::opt_completion(row, at::MORE + 3)?,
    });
    detail.early_completion = record::opt_completion(row, at::MORE + 4)?;
    detail.output = record::opt_payload(row, at::MORE + 5)?;
    detail.last_error = record::opt_error(row, at::MORE + 6)?;
    detail.via_fallback = record::via_fallback(row, at::MORE + 7)?;
    for attempt in record::value::<Vec<String>>(row, at::MORE + 8)? {
        let attempt = serde_json::from_str(&attempt).map_err(|_| Damage("the history is damaged"))?;
        detail.failures.push(attempt);
    }
    Ok(detail)
}

pub(crate) async fn list(tx: &mut Tx<'_>, filter: &TaskFilter, page: &Page) -> Outcome<Listed> {
    let mut listed = Listed::default();
    // A text is kept without U+0000, so none contains it.
    let is_hopeless = filter
        .payload_contains
        .as_ref()
        .is_some_and(|text| text.contains('\0'));
    if page.limit == 0 || is_hopeless {
        return Ok(listed);
    }
    let mut candidates = Candidates::new(tx, filter, page.after);
    let mut memo = Memo::default();
    let (mut examined, mut bytes) = (0, 0);
    loop {
        let is_full = |listed: &Listed| listed.tasks.len() + listed.bad.len() == page.limit;
        let room = page.limit - listed.tasks.len() - listed.bad.len();
        let rows = if filter.with_output {
            ROWS_WITH_OUTPUT
        } else {
            ROWS
        };
        let (looked_at, at_end) = chunk(tx, &mut candidates, room.min(rows), &mut examined).await?;
        let records = records(tx, &looked_at, filter).await?;
        for candidate in &looked_at {
            if is_full(&listed) || bytes > MAX_CALL_BYTES {
                return Ok(listed);
            }
            listed.next = Some(candidate.id);
            let Some(row) = records.get(&candidate.id) else {
                continue;
            };
            match summary(row, filter, &mut memo) {
                Ok(Some(summary)) => {
                    bytes += summary.output.as_ref().map_or(0, Payload::len);
                    listed.tasks.push(summary);
                }
                Ok(None) => {}
                Err(damage) => listed.bad.push(record::bad(row, &damage)),
            }
        }
        if at_end {
            listed.next = None;
            return Ok(listed);
        }
        if examined >= MAX_EXAMINED {
            return Ok(listed);
        }
        if is_full(&listed) || bytes > MAX_CALL_BYTES {
            // One more look tells whether this was the last page.
            if candidates.next(tx).await?.is_none() {
                listed.next = None;
            }
            return Ok(listed);
        }
    }
}

/// The next candidates, of which up to `wanted` may pass; and whether there are no more.
async fn chunk(
    tx: &mut Tx<'_>,
    candidates: &mut Candidates<'_>,
    wanted: usize,
    examined: &mut usize,
) -> Outcome<(Vec<Candidate>, bool)> {
    let (mut found, mut may_pass) = (Vec::new(), 0);
    while may_pass < wanted && *examined < MAX_EXAMINED {
        let Some(candidate) = candidates.next(tx).await? else {
            return Ok((found, true));
        };
        *examined += 1;
        may_pass += usize::from(candidate.may_pass);
        found.push(candidate);
    }
    Ok((found, false))
}

/// The whole rows of those candidates that may pass.
async fn records(
    tx: &mut Tx<'_>,
    candidates: &[Candidate],
    filter: &TaskFilter,
) -> Outcome<HashMap<TaskId, PgRow>> {
    let wanted: Vec<Id> = ids(candidates
        .iter()
        .filter(|candidate| candidate.may_pass)
        .map(|candidate| candidate.id));
    let mut records = HashMap::with_capacity(wanted.len());
    if wanted.is_empty() {
        return Ok(records);
    }
    let statement = tx
        .query(&tx.sql.list_record)
        .bind(wanted)
        .bind(filter.payload_contains.clone())
        .bind(filter.with_output);
    for row in tx.rows(statement).await? {
        records.insert(record::task_id(&row, at::ID).map_err(altered)?, row);
    }
    Ok(records)
}

/// The row of a listing, if the whole filter lets it pass.
fn summary(row: &PgRow, filter: &TaskFilter, memo: &mut Memo) -> Read<Option<TaskSummary>> {
    let mut detail = TaskDetail::new(ClaimedTask {
        task: record::task(row, memo)?,
        payload: Payload::null(),
        headers: record::headers(row, at::MORE + 1)?,
        checkpoint: None,
        completion: None,
    });
    detail.last_error = record::opt_error(row, at::MORE + 2)?;
    // The server has looked into the payload.
    let payload_fits = record::value::<Option<bool>>(row, at::MORE)?.unwrap_or(false);
    let rest = TaskFilter {
        payload_contains: None,
        ..filter.clone()
    };
    if !payload_fits || !rest.matches(&detail) {
        return Ok(None);
    }
    Ok(Some(TaskSummary::new(
        detail.task,
        detail.last_error,
        record::opt_payload(row, at::MORE + 4)?,
        record::via_fallback(row, at::MORE + 3)?,
    )))
}

/// Whether what the row of a candidate shows already excludes it. What cannot be read excludes nothing, so that the row is
/// reported.
pub(crate) fn may_pass(row: &PgRow, filter: &TaskFilter) -> bool {
    let text = |column: usize| record::value::<&str>(row, column);
    let outside = |column: usize, from: Option<Timestamp>, before: Option<Timestamp>| {
        record::time(row, column).is_ok_and(|time| {
            from.is_some_and(|from| time < from) || before.is_some_and(|before| time >= before)
        })
    };
    let other = |column: usize, wanted: Option<Id>| {
        wanted
            .is_some_and(|wanted| record::value::<Option<Id>>(row, column).is_ok_and(|id| id != Some(wanted)))
    };
    let queue = text(1).is_ok_and(|name| filter.queues.iter().all(|queue| queue.as_str() != name));
    let kind = text(2).is_ok_and(|name| filter.kinds.iter().all(|kind| kind.as_str() != name));
    let state = record::state(row, 3).is_ok_and(|state| !filter.states.contains(&state));
    let key = |wanted: &str| record::value::<Option<&str>>(row, 6).is_ok_and(|key| key != Some(wanted));
    let excluded = (!filter.states.is_empty() && state)
        || (!filter.queues.is_empty() && queue)
        || (!filter.kinds.is_empty() && kind)
        || outside(4, filter.due_from, filter.due_before)
        || outside(5, filter.created_from, filter.created_before)
        || filter.key.as_deref().is_some_and(key)
        || other(7, filter.parent.map(Id::from))
        || other(8, filter.session.map(|session: SessionId| Id::from(session)));
    !excluded
}

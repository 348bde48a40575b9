//! Reads (laws 11, 12, 14): one task, and listings.

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{MAX_CALL_BYTES, MAX_EXAMINED};
use retry_core::name::{Kind, Queue};
use retry_core::payload::Payload;
use retry_core::store::{Listed, Page, StoreError, StoreErrorKind, TaskFilter};
use retry_core::task::{ClaimedTask, FailedAttempt, State, TaskDetail, TaskSummary};
use retry_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::candidates::Candidates;
use crate::error::Outcome;
use crate::memo::Memo;
use crate::queries;
use crate::record::{self, Damage, Read, at};

pub(crate) fn get(conn: &Connection, id: TaskId, memo: &mut Memo) -> Outcome<Option<TaskDetail>> {
    let mut statement = conn.prepare_cached(queries::GET)?;
    let mut rows = statement.query([id.to_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let detail = detail(row, memo).and_then(|mut detail| {
        if record::flag(row, at::NOTED)? {
            detail.failures = failures(conn, record::int(row, at::NUMBER)?)?;
        }
        Ok(detail)
    });
    detail.map(Some).map_err(|Damage(reason)| {
        StoreError::rejected(
            StoreErrorKind::Corrupt,
            format!(
                "{}: the stored task {id} cannot be read: {reason}; repair its row, or remove it with SqliteStore::remove_damaged",
                conn.path().unwrap_or_default()
            ),
        )
        .into()
    })
}

fn detail(row: &Row<'_>, memo: &mut Memo) -> Read<TaskDetail> {
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
    detail.via_fallback = record::opt_int(row, at::MORE + 7)?.unwrap_or(0) != 0;
    Ok(detail)
}

fn failures(conn: &Connection, body: i64) -> Read<Vec<FailedAttempt>> {
    let unreadable = |_| Damage("the history cannot be read");
    let damaged = |_| Damage("the history is damaged");
    let mut statement = conn.prepare_cached(queries::FAILURE_LIST).map_err(unreadable)?;
    let mut rows = statement.query([body]).map_err(unreadable)?;
    let mut failures = Vec::new();
    while let Some(row) = rows.next().map_err(unreadable)? {
        failures.push(serde_json::from_str(record::text(row, 0)?).map_err(damaged)?);
    }
    Ok(failures)
}

pub(crate) fn list(conn: &Connection, filter: &TaskFilter, page: &Page, memo: &mut Memo) -> Outcome<Listed> {
    let mut listed = Listed::default();
    if page.limit == 0 {
        return Ok(listed);
    }
    let mut candidates = Candidates::new(conn, filter, page.after)?;
    let mut records = conn.prepare_cached(queries::LIST_RECORD)?;
    let mut bytes = 0;
    for examined in 0.. {
        let Some(candidate) = candidates.next()? else {
            listed.next = None;
            break;
        };
        let full = listed.tasks.len() + listed.bad.len() == page.limit;
        if full || examined == MAX_EXAMINED || bytes > MAX_CALL_BYTES {
            break;
        }
        listed.next = Some(TaskId::from_bytes(
            candidate.id.as_slice().try_into().unwrap_or_default(),
        ));
        if !candidate.may_pass {
            continue;
        }
        let wants_payload = filter.payload_contains.is_some();
        let mut rows = records.query(params![candidate.id, wants_payload, filter.with_output])?;
        let Some(row) = rows.next()? else { continue };
        match summary(row, filter, memo) {
            Ok(Some(summary)) => {
                bytes += summary.output.as_ref().map_or(0, Payload::len);
                listed.tasks.push(summary);
            }
            Ok(None) => {}
            Err(damage) => listed.bad.push(record::bad(row, &damage)),
        }
    }
    Ok(listed)
}

/// The row of a listing, if the whole filter lets it pass.
fn summary(row: &Row<'_>, filter: &TaskFilter, memo: &mut Memo) -> Read<Option<TaskSummary>> {
    let mut detail = TaskDetail::new(ClaimedTask {
        task: record::task(row, memo)?,
        payload: record::opt_payload(row, at::MORE)?.unwrap_or_else(Payload::null),
        headers: record::headers(row, at::MORE + 1)?,
        checkpoint: None,
        completion: None,
    });
    detail.last_error = record::opt_error(row, at::MORE + 2)?;
    if !filter.matches(&detail) {
        return Ok(None);
    }
    Ok(Some(TaskSummary::new(
        detail.task,
        detail.last_error,
        record::opt_payload(row, at::MORE + 4)?,
        record::opt_int(row, at::MORE + 3)?.unwrap_or(0) != 0,
    )))
}

/// Whether what the row of a candidate shows already excludes it. What cannot be read excludes nothing, so that the row is
/// reported.
pub(crate) fn may_pass(row: &Row<'_>, filter: &TaskFilter) -> bool {
    let queue = |queues: &[Queue]| {
        record::text(row, 1).is_ok_and(|name| queues.iter().all(|queue| queue.as_str() != name))
    };
    let kind = |kinds: &[Kind]| {
        record::text(row, 2).is_ok_and(|name| kinds.iter().all(|kind| kind.as_str() != name))
    };
    let outside = |column: usize, from: Option<Timestamp>, before: Option<Timestamp>| {
        record::time(row, column).is_ok_and(|time| {
            from.is_some_and(|from| time < from) || before.is_some_and(|before| time >= before)
        })
    };
    let other = |column: usize, wanted: Option<[u8; 16]>| {
        wanted.is_some_and(|wanted| record::opt_id(row, column).is_ok_and(|id| id != Some(wanted)))
    };
    let state = |states: &[State]| record::state(row, 3).is_ok_and(|state| !states.contains(&state));
    let excluded = (!filter.states.is_empty() && state(&filter.states))
        || (!filter.queues.is_empty() && queue(&filter.queues))
        || (!filter.kinds.is_empty() && kind(&filter.kinds))
        || outside(4, filter.due_from, filter.due_before)
        || outside(5, filter.created_from, filter.created_before)
        || filter.key.as_deref().is_some_and(|wanted| {
            record::opt_text(row, 6).is_ok_and(|key| key.map(record::key_alone) != Some(wanted))
        })
        || other(7, filter.parent.map(TaskId::to_bytes))
        || other(8, filter.session.map(SessionId::to_bytes));
    !excluded
}

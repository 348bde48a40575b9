//! Reads (laws 11, 12, 14): one task, and listings.

use std::collections::HashMap;

use retry_core::id::TaskId;
use retry_core::limits::{MAX_CALL_BYTES, MAX_EXAMINED, MAX_FAILURES_KEPT};
use retry_core::payload::Payload;
use retry_core::store::{Listed, Page, StoreError, StoreErrorKind, TaskFilter};
use retry_core::task::{ClaimedTask, FailedAttempt, TaskDetail, TaskSummary};
use retry_core::time::Timestamp;
use sqlx::mysql::MySqlRow;

use crate::args::{Args, ids};
use crate::candidates::Candidates;
use crate::db::Db;
use crate::error::Outcome;
use crate::hot::Hot;
use crate::record::{self, Damage, Read, at};

/// How often a task is read again because it was written between the two statements that read it.
const LOOKS: usize = 8;

/// Large texts that a listing reads at a time.
const LARGE: usize = 8;

pub(crate) async fn get(db: &mut Db<'_>, id: TaskId) -> Outcome<Option<TaskDetail>> {
    for _ in 0..LOOKS {
        let args = || Args::new().with(id.to_bytes());
        let Some(row) = db.row(&db.q.get, args()).await? else {
            return Ok(None);
        };
        let known = record::count(&row, at::FAILURES).unwrap_or(0);
        let failures = if known > 0 {
            db.rows(&db.q.failure_list, args()).await?
        } else {
            Vec::new()
        };
        if is_history_of(&failures, known) {
            return detail(&row, &failures)
                .map(Some)
                .map_err(|damage| damaged(id, &damage).into());
        }
    }
    let message = format!("the task {id} is written too often to be read; repeat it");
    Err(StoreError::rejected(StoreErrorKind::Busy, message).into())
}

/// Whether these are the last failed attempts of a task that has `known` of them.
fn is_history_of(failures: &[MySqlRow], known: u32) -> bool {
    let last = failures.last().map_or(Ok(0), |row| record::count(row, 0));
    let kept = usize::try_from(known)
        .unwrap_or(usize::MAX)
        .min(MAX_FAILURES_KEPT);
    last.is_ok_and(|last| last == known) && failures.len() == kept
}

fn damaged(id: TaskId, Damage(reason): &Damage) -> StoreError {
    let message = format!("the stored task {id} cannot be read: {reason}; repair its row or delete it");
    StoreError::rejected(StoreErrorKind::Corrupt, message)
}

fn detail(row: &MySqlRow, failures: &[MySqlRow]) -> Read<TaskDetail> {
    let mut detail = TaskDetail::new(ClaimedTask {
        task: record::task(row)?,
        payload: record::payload(row, at::MORE)?,
        headers: record::headers(row, at::MORE + 1)?,
        checkpoint: record::opt_payload(row, at::MORE + 2)?,
        completion: record::opt_completion(row, at::MORE + 3)?,
    });
    detail.early_completion = record::opt_completion(row, at::MORE + 4)?;
    detail.output = record::opt_payload(row, at::MORE + 5)?;
    detail.last_error = record::opt_error(row, at::MORE + 6)?;
    detail.via_fallback = record::opt_int(row, at::MORE + 7)?.unwrap_or(0) != 0;
    let attempt = |row: &MySqlRow| -> Read<FailedAttempt> {
        serde_json::from_str(record::text(row, 1)?).map_err(|_| Damage("the history is damaged"))
    };
    detail.failures = failures.iter().map(attempt).collect::<Read<_>>()?;
    Ok(detail)
}

pub(crate) async fn list(db: &mut Db<'_>, filter: &TaskFilter, page: &Page) -> Outcome<Listed> {
    let mut listed = Listed::default();
    if page.limit == 0 {
        return Ok(listed);
    }
    let is_large = filter.with_output || filter.payload_contains.is_some();
    let mut candidates = Candidates::new(db.q, filter, page);
    let (mut examined, mut bytes) = (0, 0);
    loop {
        let room = page.limit - listed.tasks.len() - listed.bad.len();
        let wanted = room
            .min(MAX_EXAMINED - examined)
            .min(if is_large { LARGE } else { usize::MAX });
        if wanted == 0 || bytes > MAX_CALL_BYTES {
            if candidates.next(db).await?.is_none() {
                listed.next = None;
            }
            return Ok(listed);
        }
        let mut batch = Vec::with_capacity(wanted.min(1_000));
        while batch.len() < wanted
            && let Some(candidate) = candidates.next(db).await?
        {
            batch.push(candidate);
        }
        examined += batch.len();
        let is_last = batch.len() < wanted;
        if !examine(db, filter, batch, &mut listed, &mut bytes).await? {
            return Ok(listed);
        }
        if is_last {
            listed.next = None;
            return Ok(listed);
        }
    }
}

/// Adds the rows of a batch that pass; false: the page has enough bytes before its end.
async fn examine(
    db: &mut Db<'_>,
    filter: &TaskFilter,
    batch: Vec<([u8; 16], MySqlRow)>,
    listed: &mut Listed,
    bytes: &mut usize,
) -> Outcome<bool> {
    let hots: Vec<_> = batch.iter().map(|(_, row)| record::hot(row)).collect();
    let passed: Vec<[u8; 16]> = hots
        .iter()
        .flatten()
        .filter(|hot| may_pass(hot, filter))
        .map(|hot| hot.id.to_bytes())
        .collect();
    let mut records: HashMap<[u8; 16], MySqlRow> = HashMap::new();
    if !passed.is_empty() {
        let args = Args::new()
            .with(filter.with_output)
            .with(filter.payload_contains.is_some())
            .with(ids(&passed));
        let rows = db.rows(&db.q.list_records, args).await?;
        records.extend(
            rows.into_iter()
                .map(|row| (record::id(&row, 0).unwrap_or_default(), row)),
        );
    }
    for ((id, row), hot) in batch.iter().zip(hots) {
        if *bytes > MAX_CALL_BYTES {
            return Ok(false);
        }
        listed.next = Some(TaskId::from_bytes(*id));
        let summary = match (hot, records.get(id)) {
            (Ok(hot), Some(record)) if may_pass(&hot, filter) => summary(hot, record, filter),
            // It was forgotten since, or does not pass.
            (Ok(_), _) => continue,
            (Err(damage), _) => Err(damage),
        };
        match summary {
            Ok(Some(summary)) => {
                *bytes += summary.output.as_ref().map_or(0, Payload::len);
                listed.tasks.push(summary);
            }
            Ok(None) => {}
            Err(damage) => listed.bad.push(record::bad(row, &damage)),
        }
    }
    Ok(true)
}

/// The row of a listing, if the whole filter lets it pass.
fn summary(hot: Hot, row: &MySqlRow, filter: &TaskFilter) -> Read<Option<TaskSummary>> {
    if record::flag(row, 10)? {
        return Err(Damage("the payload is missing"));
    }
    let mut detail = TaskDetail::new(ClaimedTask {
        task: record::whole(hot, row, 1)?,
        payload: record::opt_payload(row, 9)?.unwrap_or_else(Payload::null),
        headers: record::headers(row, 7)?,
        checkpoint: None,
        completion: None,
    });
    detail.last_error = record::opt_error(row, 5)?;
    if !filter.matches(&detail) {
        return Ok(None);
    }
    let via_fallback = record::opt_int(row, 6)?.unwrap_or(0) != 0;
    let output = record::opt_payload(row, 8)?;
    Ok(Some(TaskSummary::new(
        detail.task,
        detail.last_error,
        output,
        via_fallback,
    )))
}

/// Whether the hot row alone lets a task pass.
fn may_pass(hot: &Hot, filter: &TaskFilter) -> bool {
    let within = |time: Timestamp, from: Option<Timestamp>, before: Option<Timestamp>| {
        from.is_none_or(|from| time >= from) && before.is_none_or(|before| time < before)
    };
    (filter.states.is_empty() || filter.states.contains(&hot.state))
        && (filter.queues.is_empty() || filter.queues.contains(&hot.queue))
        && (filter.kinds.is_empty() || filter.kinds.contains(&hot.kind))
        && within(hot.run_at, filter.due_from, filter.due_before)
        && within(hot.created_at, filter.created_from, filter.created_before)
        && filter
            .key
            .as_deref()
            .is_none_or(|wanted| hot.key.as_ref().is_some_and(|key| key.as_str() == wanted))
        && filter.parent.is_none_or(|wanted| hot.parent == Some(wanted))
        && filter.session.is_none_or(|wanted| hot.session == Some(wanted))
}

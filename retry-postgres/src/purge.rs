//! Forgetting (laws 1, 13): ended tasks whose time is over, and lost sessions that hold nothing.

use std::collections::HashSet;

use retry_core::id::TaskId;
use retry_core::limits::{PURGE_CHILD_DELAY, RESEND_WINDOW};
use retry_core::task::State;
use retry_core::time::Timestamp;

use crate::error::Outcome;
use crate::insert::altered;
use crate::record;
use crate::tx::Tx;
use crate::types::ids;

/// A row whose time is over, in the order in which rows are forgotten.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    purge_at: i64,
    id: TaskId,
    parent: Option<TaskId>,
}

pub(crate) async fn purge(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Outcome<u64> {
    let mut due = due(tx, now, limit).await?;
    due.sort_unstable();
    due.truncate(limit);
    let awaiting = awaiting(tx, due.iter().filter_map(|row| row.parent)).await?;
    let is_awaited = |row: &Due| row.parent.is_some_and(|parent| awaiting.contains(&parent));
    let (later, now_due): (Vec<Due>, Vec<Due>) = due.into_iter().partition(is_awaited);
    if !later.is_empty() {
        let at = now.saturating_add(PURGE_CHILD_DELAY);
        let statement = tx
            .query(&tx.sql.purge_put_off)
            .bind(ids(later.iter().map(|row| row.id)))
            .bind(at.as_millis());
        tx.execute(statement).await?;
    }
    if !now_due.is_empty() {
        let statement = tx
            .query(&tx.sql.task_delete)
            .bind(ids(now_due.iter().map(|row| row.id)));
        tx.execute(statement).await?;
    }
    let statement = tx.query(&tx.sql.session_sweep);
    tx.execute(statement).await?;
    Ok(record::limit(now_due.len()).unsigned_abs())
}

/// Up to `limit` rows of each final state.
async fn due(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Outcome<Vec<Due>> {
    let created = now.saturating_sub(RESEND_WINDOW);
    let mut due = Vec::new();
    for state in State::ALL.into_iter().filter(|state| state.is_final()) {
        let statement = tx
            .query(&tx.sql.purge_due)
            .bind(record::state_code(state))
            .bind(now.as_millis())
            .bind(created.as_millis())
            .bind(record::limit(limit));
        for row in tx.rows(statement).await? {
            due.push(Due {
                purge_at: record::value(&row, 0).map_err(altered)?,
                id: record::task_id(&row, 1).map_err(altered)?,
                parent: record::opt_task_id(&row, 2).map_err(altered)?,
            });
        }
    }
    Ok(due)
}

/// Those of `parents` that have not ended and still need their children.
async fn awaiting(tx: &mut Tx<'_>, parents: impl Iterator<Item = TaskId> + Send) -> Outcome<HashSet<TaskId>> {
    let parents: HashSet<TaskId> = parents.collect();
    let mut awaiting = HashSet::new();
    if parents.is_empty() {
        return Ok(awaiting);
    }
    let statement = tx.query(&tx.sql.parent_states).bind(ids(parents));
    for row in tx.rows(statement).await? {
        awaiting.insert(record::task_id(&row, 0).map_err(altered)?);
    }
    Ok(awaiting)
}

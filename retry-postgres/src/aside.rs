//! Rows that cannot be read (law 14): a claim puts them aside as failed, so that they block no lane.

use retry_core::id::TaskId;
use retry_core::limits::MAX_VERSION;
use retry_core::store::BadRecord;
use retry_core::task::State;
use retry_core::time::Timestamp;
use sqlx::postgres::PgRow;

use crate::board::{Board, Waiting};
use crate::error::Outcome;
use crate::memo::Memo;
use crate::parents;
use crate::record::{self, Damage, at};
use crate::tx::Tx;
use crate::types::ids;

/// When the rows to be put aside were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// Before the claim raised their versions.
    Unclaimed,
    /// After it.
    Claimed,
}

/// Moves rows that were claimed to failed, which their parents, if they have some, count. Answers the reports, with the
/// versions that the rows have now.
pub(crate) async fn put(
    tx: &mut Tx<'_>,
    rows: &[(&PgRow, Damage)],
    read: Read,
    now: Timestamp,
) -> Outcome<Vec<BadRecord>> {
    let mut reports = Vec::with_capacity(rows.len());
    let mut children = Vec::new();
    for (row, damage) in rows {
        let mut report = record::bad(row, damage);
        let raised = u64::from(read == Read::Unclaimed);
        report.version = (report.version + raised).min(MAX_VERSION);
        tracing::warn!(id = %report.id, reason = report.reason, "a task that cannot be read was moved to failed");
        children.extend(record::opt_task_id(row, at::PARENT).ok().flatten());
        reports.push(report);
    }
    let statement = tx
        .query(&tx.sql.bad_write)
        .bind(ids(reports.iter().map(|report| report.id)))
        .bind(now.as_millis());
    tx.execute(statement).await?;
    if !children.is_empty() {
        count(tx, &children, now).await?;
    }
    Ok(reports)
}

/// Counts one failed child for each of `parents`.
async fn count(tx: &mut Tx<'_>, parents: &[TaskId], now: Timestamp) -> Outcome<()> {
    let mut memo = Memo::default();
    let mut board = Board::lock(tx, parents.iter().copied(), Waiting::Allowed, &mut memo).await?;
    let settings = parents::settings_of(tx, parents, &mut memo).await?;
    for parent in parents {
        let states = (State::Pending, State::Failed);
        parents::child_changed(&mut board, Some(*parent), states, &settings, now, &mut tx.effects);
    }
    board.write(tx).await
}

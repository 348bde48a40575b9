//! Counts by queue and state (law 13): exact on request, else within a budget for each state.

use std::collections::BTreeMap;

use retry_core::limits::MAX_EXAMINED;
use retry_core::name::Queue;
use retry_core::store::{Count, CountScope, Counts};
use retry_core::task::State;
use sqlx::postgres::PgRow;

use crate::error::Outcome;
use crate::insert::altered;
use crate::memo::Memo;
use crate::record;
use crate::tx::Tx;

/// Counts to the end.
pub(crate) async fn exact(tx: &mut Tx<'_>, scope: &CountScope) -> Outcome<Counts> {
    let mut memo = Memo::default();
    let mut counts = Counts::default();
    counts.complete = true;
    // The one statement that reads a whole table.
    let statement = sqlx::query("SET LOCAL enable_seqscan = on").persistent(false);
    tx.execute(statement).await?;
    let queue = scope.queue.as_ref().map(|queue| queue.as_str().to_owned());
    let statement = tx.query(&tx.sql.count_exact).bind(queue);
    for row in tx.rows(statement).await? {
        // Rows that cannot be read belong to no queue or state.
        if let (Some(queue), Ok(state)) = (queue_of(&row, &mut memo), record::state(&row, 1)) {
            counts
                .counts
                .insert((queue, state), Count::Exact(number(&row, 2)?));
        }
    }
    Ok(counts)
}

/// Counts up to the budget.
pub(crate) async fn within_budget(tx: &mut Tx<'_>, scope: &CountScope) -> Outcome<Counts> {
    let mut memo = Memo::default();
    let mut counts = Counts::default();
    counts.complete = true;
    for state in State::ALL {
        let groups = groups(tx, scope, state, &mut memo).await?;
        add(&mut counts, groups, scope, state);
    }
    Ok(counts)
}

async fn groups(
    tx: &mut Tx<'_>,
    scope: &CountScope,
    state: State,
    memo: &mut Memo,
) -> Outcome<BTreeMap<Queue, u64>> {
    // One row more tells whether the budget was enough.
    let limit = record::limit(MAX_EXAMINED + 1);
    let statement = match (state, &scope.queue) {
        (State::Pending, None) => tx.query(&tx.sql.count_pending).bind(limit),
        (State::Pending, Some(queue)) => tx
            .query(&tx.sql.count_pending_queue)
            .bind(limit)
            .bind(queue.as_str().to_owned()),
        (State::Running, _) => tx.query(&tx.sql.count_running).bind(limit),
        (State::Succeeded, _) => tx.query(&tx.sql.count_ended).bind(limit),
        (State::Waiting | State::Joining | State::Failed | State::Cancelled, _) => tx
            .query(&tx.sql.count_listed)
            .bind(limit)
            .bind(record::state_code(state)),
    };
    let mut groups = BTreeMap::new();
    for row in tx.rows(statement).await? {
        if let Some(queue) = queue_of(&row, memo) {
            groups.insert(queue, number(&row, 1)?);
        }
    }
    Ok(groups)
}

fn add(counts: &mut Counts, mut groups: BTreeMap<Queue, u64>, scope: &CountScope, state: State) {
    let budget = record::limit(MAX_EXAMINED).unsigned_abs();
    let is_cut = groups.values().sum::<u64>() > budget;
    if is_cut {
        counts.complete = false;
        // The row too many is taken back where it is noticed least.
        if let Some(most) = groups.values_mut().max() {
            *most -= 1;
        }
    }
    for (queue, n) in groups {
        if scope.queue.as_ref().is_none_or(|only| *only == queue) {
            let count = if is_cut {
                Count::AtLeast(n)
            } else {
                Count::Exact(n)
            };
            counts.counts.insert((queue, state), count);
        }
    }
}

fn queue_of(row: &PgRow, memo: &mut Memo) -> Option<Queue> {
    record::value(row, 0).ok().and_then(|name| memo.queue(name))
}

fn number(row: &PgRow, column: usize) -> Outcome<u64> {
    // A count is never negative.
    Ok(record::value::<i64>(row, column).map_err(altered)?.unsigned_abs())
}

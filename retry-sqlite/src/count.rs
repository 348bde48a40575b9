//! Counts by queue and state (law 13): exact on request, else within a budget for each state.

use std::collections::BTreeMap;

use retry_core::limits::MAX_EXAMINED;
use retry_core::name::Queue;
use retry_core::store::{Count, CountScope, Counts};
use retry_core::task::State;
use rusqlite::{Connection, Row, Rows, params};

use crate::error::Outcome;
use crate::memo::Memo;
use crate::queries;
use crate::record;

pub(crate) fn count(conn: &Connection, scope: &CountScope, memo: &mut Memo) -> Outcome<Counts> {
    let mut counts = Counts::default();
    counts.complete = true;
    if scope.exact {
        exact(conn, scope, memo, &mut counts)?;
    } else {
        for state in State::ALL {
            within_budget(conn, scope, state, memo, &mut counts)?;
        }
    }
    Ok(counts)
}

fn exact(conn: &Connection, scope: &CountScope, memo: &mut Memo, counts: &mut Counts) -> Outcome<()> {
    let mut statement = conn.prepare_cached(queries::COUNT_EXACT)?;
    let mut rows = statement.query([scope.queue.as_ref().map(Queue::as_str)])?;
    while let Some(row) = rows.next()? {
        // Rows that cannot be read belong to no queue or state.
        if let (Some(queue), Ok(state)) = (queue(row, memo), record::state(row, 1)) {
            counts
                .counts
                .insert((queue, state), Count::Exact(number(row, 2)?));
        }
    }
    Ok(())
}

fn within_budget(
    conn: &Connection,
    scope: &CountScope,
    state: State,
    memo: &mut Memo,
    counts: &mut Counts,
) -> Outcome<()> {
    let budget = u64::try_from(MAX_EXAMINED).unwrap_or(u64::MAX);
    // One row more tells whether the budget was enough.
    let limit = i64::try_from(budget + 1).unwrap_or(i64::MAX);
    let code = state.code();
    let mut groups = match (state, &scope.queue) {
        (State::Pending, None) => read(conn, queries::COUNT_PENDING, memo, |s| s.query([limit]))?,
        (State::Pending, Some(queue)) => read(conn, queries::COUNT_PENDING_QUEUE, memo, |s| {
            s.query(params![limit, queue.as_str()])
        })?,
        (State::Running, _) => read(conn, queries::COUNT_RUNNING, memo, |s| s.query([limit]))?,
        (State::Succeeded, _) => read(conn, queries::COUNT_ENDED, memo, |s| s.query([limit]))?,
        (State::Waiting | State::Joining | State::Failed | State::Cancelled, _) => {
            read(conn, queries::COUNT_LISTED, memo, |s| {
                s.query(params![limit, code])
            })?
        }
    };
    let cut = groups.values().sum::<u64>() > budget;
    if cut {
        counts.complete = false;
        // The row too many is taken back where it is noticed least.
        if let Some(most) = groups.values_mut().max() {
            *most -= 1;
        }
    }
    for (queue, n) in groups {
        if scope.queue.as_ref().is_none_or(|only| *only == queue) {
            let count = if cut { Count::AtLeast(n) } else { Count::Exact(n) };
            counts.counts.insert((queue, state), count);
        }
    }
    Ok(())
}

fn read<'c, F>(conn: &'c Connection, sql: &str, memo: &mut Memo, query: F) -> Outcome<BTreeMap<Queue, u64>>
where
    F: for<'s> FnOnce(&'s mut rusqlite::CachedStatement<'c>) -> rusqlite::Result<Rows<'s>>,
{
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = query(&mut statement)?;
    let mut groups = BTreeMap::new();
    while let Some(row) = rows.next()? {
        if let Some(queue) = queue(row, memo) {
            groups.insert(queue, number(row, 1)?);
        }
    }
    Ok(groups)
}

fn queue(row: &Row<'_>, memo: &mut Memo) -> Option<Queue> {
    record::text(row, 0).ok().and_then(|name| memo.queue(name))
}

fn number(row: &Row<'_>, column: usize) -> Outcome<u64> {
    // A count is never negative.
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

//! Counts by queue and state (law 13): exact on request, else within a budget for each state.

use std::collections::BTreeMap;

use retry_core::limits::MAX_EXAMINED;
use retry_core::name::Queue;
use retry_core::store::{Count, CountScope, Counts};
use retry_core::task::State;

use crate::args::Args;
use crate::db::Db;
use crate::error::Outcome;
use crate::record;

pub(crate) async fn count(db: &mut Db<'_>, scope: &CountScope) -> Outcome<Counts> {
    let mut counts = Counts::default();
    counts.complete = true;
    if scope.exact {
        exact(db, scope, &mut counts).await?;
    } else {
        for state in State::ALL {
            within_budget(db, scope, state, &mut counts).await?;
        }
    }
    Ok(counts)
}

async fn exact(db: &mut Db<'_>, scope: &CountScope, counts: &mut Counts) -> Outcome<()> {
    let queue = scope.queue.as_ref().map(|queue| queue.as_str().as_bytes());
    for row in db
        .rows(&db.q.count_exact, Args::new().with(queue).with(queue))
        .await?
    {
        // Rows that cannot be read belong to no queue or state.
        if let (Ok(queue), Ok(state), Ok(n)) = (
            record::queue(&row, 0),
            record::state(&row, 1),
            record::int(&row, 2),
        ) {
            counts
                .counts
                .insert((queue, state), Count::Exact(n.unsigned_abs()));
        }
    }
    Ok(())
}

async fn within_budget(
    db: &mut Db<'_>,
    scope: &CountScope,
    state: State,
    counts: &mut Counts,
) -> Outcome<()> {
    // One row more tells whether the budget was enough.
    let limit = record::length(MAX_EXAMINED + 1);
    let (sql, args) = match (state, &scope.queue) {
        (State::Pending, None) => (&db.q.count_pending, Args::new()),
        (State::Pending, Some(queue)) => (
            &db.q.count_pending_queue,
            Args::new().with(queue.as_str().as_bytes()),
        ),
        (State::Running, _) => (&db.q.count_running, Args::new()),
        (State::Succeeded, _) => (&db.q.count_succeeded, Args::new()),
        (State::Waiting | State::Joining | State::Failed | State::Cancelled, _) => {
            (&db.q.count_listed, Args::new().with(state.code()))
        }
    };
    let mut groups: BTreeMap<Queue, u64> = BTreeMap::new();
    for row in db.rows(sql, args.with(limit)).await? {
        if let (Ok(queue), Ok(n)) = (record::queue(&row, 0), record::int(&row, 1)) {
            groups.insert(queue, n.unsigned_abs());
        }
    }
    let cut = groups.values().sum::<u64>() > u64::try_from(MAX_EXAMINED).unwrap_or(u64::MAX);
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

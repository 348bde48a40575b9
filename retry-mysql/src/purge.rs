//! Forgetting (laws 1, 13): ended tasks whose time is over, and lost sessions that hold nothing.

use std::collections::{BTreeSet, HashMap};

use retry_core::limits::{PURGE_CHILD_DELAY, RESEND_WINDOW};
use retry_core::task::State;
use retry_core::time::Timestamp;

use crate::args::{Args, ids};
use crate::db::Db;
use crate::error::{Fault, Outcome};
use crate::record;
use crate::write::{Rest, forget_rest};

/// A row whose time is over, in the order in which rows are forgotten.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    purge_at: i64,
    id: [u8; 16],
    apart: bool,
    noted: bool,
    failed: bool,
    parent: Option<[u8; 16]>,
}

pub(crate) async fn purge(db: &mut Db<'_>, now: Timestamp, limit: usize) -> Outcome<u64> {
    let mut due = due(db, now, limit).await?;
    due.sort_unstable();
    due.truncate(limit);
    let awaiting = awaiting(db, &due).await?;
    let (kept, mut gone): (Vec<Due>, Vec<Due>) = due
        .into_iter()
        .partition(|row| row.parent.is_some_and(|parent| awaiting.contains(&parent)));
    if !kept.is_empty() {
        let later = now.saturating_add(PURGE_CHILD_DELAY);
        let args = Args::new()
            .with(ids(kept.iter().map(|row| &row.id)))
            .with(later.as_millis());
        db.run(&db.q.purge_put_off, args).await?;
    }
    gone.sort_unstable_by_key(|row| row.id);
    let ids_of = |chosen: fn(&Due) -> bool| -> Vec<[u8; 16]> {
        gone.iter().filter(|row| chosen(row)).map(|row| row.id).collect()
    };
    let all = ids_of(|_| true);
    let rest = Rest {
        bodies: ids_of(|row| row.apart),
        notes: ids_of(|row| row.noted),
        failures: ids_of(|row| row.failed),
    };
    forget(db, &all, now).await?;
    forget_rest(db, &rest).await?;
    sweep_sessions(db).await?;
    Ok(u64::try_from(all.len()).unwrap_or(u64::MAX))
}

/// Forgets the rows of tasks. What was read to be over must still be: a rerun between is not to be forgotten.
async fn forget(db: &mut Db<'_>, all: &[[u8; 16]], now: Timestamp) -> Outcome<()> {
    if all.is_empty() {
        return Ok(());
    }
    let args = Args::new().with(ids(all)).with(now.as_millis());
    let gone = db.run(&db.q.purge_delete, args).await?;
    if usize::try_from(gone) == Ok(all.len()) {
        Ok(())
    } else {
        Err(Fault::Collision)
    }
}

/// Up to `limit` rows of each final state.
async fn due(db: &mut Db<'_>, now: Timestamp, limit: usize) -> Outcome<Vec<Due>> {
    let created = now.saturating_sub(RESEND_WINDOW);
    let mut due = Vec::new();
    for state in State::ALL.into_iter().filter(|state| state.is_final()) {
        let args = Args::new()
            .with(state.code())
            .with(now.as_millis())
            .with(created.as_millis())
            .with(record::length(limit));
        for row in db.rows(&db.q.purge_due, args).await? {
            due.push(Due {
                id: record::id(&row, 0).unwrap_or_default(),
                purge_at: record::int(&row, 1).unwrap_or(i64::MAX),
                noted: record::int(&row, 2) != Ok(0),
                failed: record::int(&row, 3) != Ok(0),
                parent: record::opt_id(&row, 4).ok().flatten(),
                apart: record::int(&row, 5) != Ok(0),
            });
        }
    }
    Ok(due)
}

/// The parents that have not ended.
async fn awaiting(db: &mut Db<'_>, due: &[Due]) -> Outcome<BTreeSet<[u8; 16]>> {
    let parents: BTreeSet<[u8; 16]> = due.iter().filter_map(|row| row.parent).collect();
    if parents.is_empty() {
        return Ok(parents);
    }
    let rows = db
        .rows(&db.q.parent_states, Args::new().with(ids(&parents)))
        .await?;
    let states: HashMap<[u8; 16], State> = rows
        .iter()
        .filter_map(|row| Some((record::id(row, 0).ok()?, record::state(row, 1).ok()?)))
        .collect();
    Ok(parents
        .into_iter()
        .filter(|parent| states.get(parent).is_some_and(|state| !state.is_final()))
        .collect())
}

async fn sweep_sessions(db: &mut Db<'_>) -> Outcome<()> {
    let rows = db.rows(&db.q.session_empty, Args::new()).await?;
    let empty: Vec<[u8; 16]> = rows.iter().filter_map(|row| record::id(row, 0).ok()).collect();
    if !empty.is_empty() {
        db.run(&db.q.session_sweep, Args::new().with(ids(&empty))).await?;
    }
    Ok(())
}

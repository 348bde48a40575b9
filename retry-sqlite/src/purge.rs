//! Forgetting (laws 1, 13): ended tasks whose time is over, and lost sessions that hold nothing.

use retry_core::id::{SessionId, TaskId};
use retry_core::limits::{PURGE_CHILD_DELAY, RESEND_WINDOW};
use retry_core::task::State;
use retry_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::apply::delete;
use crate::effects::Effects;
use crate::error::Outcome;
use crate::note::Place;
use crate::parents::is_awaited;
use crate::queries;
use crate::record::{self, Read};

/// A row whose time is over, in the order in which rows are forgotten.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    purge_at: i64,
    id: Vec<u8>,
    number: i64,
    noted: bool,
    parent: Option<TaskId>,
}

pub(crate) fn purge(conn: &Connection, now: Timestamp, limit: usize, effects: &mut Effects) -> Outcome<u64> {
    let mut due = due(conn, now, limit)?;
    due.sort_unstable();
    due.truncate(limit);
    let mut purged = 0;
    for row in due {
        if is_awaited(conn, row.parent)? {
            let later = now.saturating_add(PURGE_CHILD_DELAY);
            conn.prepare_cached(queries::PURGE_PUT_OFF)?
                .execute(params![row.number, later.as_millis()])?;
        } else {
            let place = Place {
                number: row.number,
                noted: row.noted,
            };
            delete(conn, place)?;
            purged += 1;
        }
    }
    sweep_sessions(conn, effects)?;
    Ok(purged)
}

/// Up to `limit` rows of each final state.
fn due(conn: &Connection, now: Timestamp, limit: usize) -> Outcome<Vec<Due>> {
    let created = now.saturating_sub(RESEND_WINDOW);
    let rows_at_most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(queries::PURGE_DUE)?;
    let mut due = Vec::new();
    for state in State::ALL.into_iter().filter(|state| state.is_final()) {
        let mut rows = statement.query(params![
            state.code(),
            now.as_millis(),
            created.as_millis(),
            rows_at_most
        ])?;
        while let Some(row) = rows.next()? {
            due.push(Due {
                purge_at: row.get(0)?,
                id: row.get(1)?,
                number: row.get(2)?,
                noted: row.get(3)?,
                parent: parent(row).unwrap_or_default(),
            });
        }
    }
    Ok(due)
}

fn parent(row: &Row<'_>) -> Read<Option<TaskId>> {
    Ok(record::opt_id(row, 4)?.map(TaskId::from_bytes))
}

fn sweep_sessions(conn: &Connection, effects: &mut Effects) -> Outcome<()> {
    let mut statement = conn.prepare_cached(queries::SESSION_SWEEP)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        effects
            .ended
            .extend(record::id(row, 0).ok().map(SessionId::from_bytes));
    }
    Ok(())
}

//! Parents (law 8): the ends of children counted in memory and written once, the join at the moment the last one ends.

use std::collections::BTreeMap;

use retry_core::id::TaskId;
use retry_core::machine::join;
use retry_core::task::State;
use retry_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::effects::Effects;
use crate::error::Outcome;
use crate::memo::Memo;
use crate::queries;
use crate::record::{self, Damage};

/// The counters of the parents that one call touched, in the order of their ids.
///
/// A parent's state is always current in the file, because a join is written at once; only `open` and `failed` lag until
/// [`flush`](Self::flush). So an edit of a parent must [`settle`](Self::settle) it first.
#[derive(Debug, Default)]
pub(crate) struct Parents {
    counters: BTreeMap<TaskId, Counters>,
}

#[derive(Debug, Clone, Copy)]
struct Counters {
    state: State,
    open: u32,
    failed: u32,
}

/// The state of a task; none if there is no such task. An unreadable one counts as ended: it waits for nothing.
pub(crate) fn state_of(conn: &Connection, id: TaskId) -> Outcome<Option<State>> {
    Ok(read(conn, id)?.map(|counters| counters.state))
}

/// Whether a parent that has not ended still needs its child.
pub(crate) fn is_awaited(conn: &Connection, parent: Option<TaskId>) -> Outcome<bool> {
    let Some(parent) = parent else { return Ok(false) };
    Ok(state_of(conn, parent)?.is_some_and(|state| !state.is_final()))
}

fn read(conn: &Connection, id: TaskId) -> Outcome<Option<Counters>> {
    let mut statement = conn.prepare_cached(queries::PARENT_READ)?;
    let counters = statement.query_row([id.to_bytes()], |row| {
        Ok(Counters {
            state: record::state(row, 0).unwrap_or(State::Failed),
            open: record::count(row, 1).unwrap_or(0),
            failed: record::count(row, 2).unwrap_or(0),
        })
    });
    Ok(counters.optional()?)
}

fn write(conn: &Connection, id: TaskId, counters: Counters) -> Outcome<()> {
    conn.prepare_cached(queries::PARENT_WRITE)?.execute(params![
        id.to_bytes(),
        counters.open,
        counters.failed
    ])?;
    Ok(())
}

impl Parents {
    /// Brings the stored counters of one task up to date, because it is about to be read or written itself.
    pub(crate) fn settle(&mut self, conn: &Connection, id: TaskId) -> Outcome<()> {
        match self.counters.remove(&id) {
            Some(counters) => write(conn, id, counters),
            None => Ok(()),
        }
    }

    /// Writes what is still counted in memory only.
    pub(crate) fn flush(&mut self, conn: &Connection) -> Outcome<()> {
        while let Some((id, counters)) = self.counters.pop_first() {
            write(conn, id, counters)?;
        }
        Ok(())
    }

    /// Counts the end, or the rerun, of a child at its parent, which wakes when no child is open.
    pub(crate) fn child_changed(
        &mut self,
        conn: &Connection,
        parent: Option<TaskId>,
        (before, after): (State, State),
        now: Timestamp,
        memo: &mut Memo,
        effects: &mut Effects,
    ) -> Outcome<()> {
        let Some(id) = parent.filter(|_| before.is_final() != after.is_final()) else {
            return Ok(());
        };
        let counters = match self.counters.get(&id) {
            Some(counters) => Some(*counters),
            None => read(conn, id)?,
        };
        let Some(mut counters) = counters else {
            return Ok(());
        };
        counters.count(before, after);
        self.counters.insert(id, counters);
        if counters.state == State::Joining && counters.open == 0 {
            self.settle(conn, id)?;
            join_now(conn, id, now, memo, effects)?;
        }
        Ok(())
    }
}

impl Counters {
    fn count(&mut self, before: State, after: State) {
        if after.is_final() {
            self.open = self.open.saturating_sub(1);
            self.failed += u32::from(after.is_unsuccessful());
        } else {
            self.open += 1;
            self.failed = self.failed.saturating_sub(u32::from(before.is_unsuccessful()));
        }
    }
}

/// Writes what becomes of a parent without open children.
fn join_now(
    conn: &Connection,
    id: TaskId,
    now: Timestamp,
    memo: &mut Memo,
    effects: &mut Effects,
) -> Outcome<()> {
    let mut statement = conn.prepare_cached(queries::LIST_RECORD)?;
    let task = statement.query_row(params![id.to_bytes(), false, false], |row| {
        Ok(record::task(row, memo))
    })?;
    let task = match task {
        Ok(task) => task,
        Err(Damage(reason)) => {
            tracing::warn!(%id, reason, "a parent that cannot be read stays as it is");
            return Ok(());
        }
    };
    let Some(joined) = join(&task, now) else {
        return Ok(());
    };
    conn.prepare_cached(queries::PARENT_JOIN)?.execute(params![
        id.to_bytes(),
        joined.state.code(),
        joined.run_at.as_millis(),
        joined.alarm_at.map(Timestamp::as_millis),
        now.as_millis(),
    ])?;
    if joined.state == State::Pending {
        effects.pending(&task.queue, joined.run_at, now);
    }
    Ok(())
}

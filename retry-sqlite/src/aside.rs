//! Rows that cannot be read (law 14): a claim puts them aside as failed, so that they block no lane; an operator removes
//! them.

use retry_core::id::TaskId;
use retry_core::limits::MAX_VERSION;
use retry_core::store::{BadRecord, StoreError, StoreErrorKind};
use retry_core::task::State;
use retry_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::apply::delete;
use crate::effects::Effects;
use crate::error::{Fault, Outcome};
use crate::lanes::Position;
use crate::memo::Memo;
use crate::note::Place;
use crate::parents::Parents;
use crate::queries;
use crate::read;
use crate::record::{self, Damage, at};

/// A pending row that cannot be read.
pub(crate) struct Aside {
    number: i64,
    /// Its due time, and its id as it is stored, whatever that is.
    pub(crate) position: Position,
    parent: Option<TaskId>,
    /// What is told about it; the version is the one after it was put aside.
    pub(crate) report: BadRecord,
}

impl Aside {
    pub(crate) fn of(row: &Row<'_>, number: i64, damage: &Damage) -> Self {
        let mut report = record::bad(row, damage);
        report.version = (report.version + 1).min(MAX_VERSION);
        let parent = record::opt_id(row, at::PARENT).ok().flatten();
        Self {
            number,
            position: (record::int(row, at::RUN_AT).unwrap_or(0), record::raw_id(row)),
            parent: parent.map(TaskId::from_bytes),
            report,
        }
    }

    /// Moves the row to failed, which its parent, if it has one, counts.
    pub(crate) fn write(
        &self,
        conn: &Connection,
        now: Timestamp,
        memo: &mut Memo,
        effects: &mut Effects,
    ) -> Outcome<()> {
        let BadRecord { id, version, reason } = &self.report;
        tracing::warn!(%id, reason, "a task that cannot be read was moved to failed");
        let version = record::stored(*version);
        conn.prepare_cached(queries::BAD_WRITE)?
            .execute(params![self.number, version, now.as_millis()])?;
        let mut parents = Parents::default();
        let states = (State::Pending, State::Failed);
        parents.child_changed(conn, self.parent, states, now, memo, effects)?;
        parents.flush(conn)
    }
}

/// Forgets a task if its row cannot be read; false: there is no such task.
pub(crate) fn remove(
    conn: &Connection,
    id: TaskId,
    now: Timestamp,
    memo: &mut Memo,
    effects: &mut Effects,
) -> Outcome<bool> {
    match read::get(conn, id, memo) {
        Ok(None) => return Ok(false),
        Ok(Some(_)) => {
            let message = format!("the task {id} can be read; delete it by its client");
            return Err(StoreError::invalid(message).into());
        }
        Err(Fault::Store(error)) if error.kind() == StoreErrorKind::Corrupt => {}
        Err(fault) => return Err(fault),
    }
    let mut statement = conn.prepare_cached(queries::GET)?;
    let (number, state, parent) = statement.query_row([id.to_bytes()], |row| {
        // What cannot be read waits for nothing, and nobody for it.
        let state = record::state(row, at::STATE).unwrap_or(State::Failed);
        let parent = record::opt_id(row, at::PARENT).ok().flatten();
        Ok((row.get(at::NUMBER)?, state, parent.map(TaskId::from_bytes)))
    })?;
    delete(conn, Place { number, noted: true })?;
    let mut parents = Parents::default();
    parents.child_changed(conn, parent, (state, State::Failed), now, memo, effects)?;
    parents.flush(conn)?;
    tracing::warn!(%id, "a task that could not be read was removed");
    Ok(true)
}

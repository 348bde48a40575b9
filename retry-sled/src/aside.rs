//! Rows that cannot be read (law 14): a claim puts them aside as failed, so that they block no lane.

use retry_core::id::TaskId;
use retry_core::limits::MAX_VERSION;
use retry_core::store::BadRecord;
use retry_core::task::State;
use retry_core::time::Timestamp;

use crate::draft::Draft;
use crate::effects::Effects;
use crate::error::Outcome;
use crate::keys::{self, Key};
use crate::parents;
use crate::record::{Damage, Row};
use crate::rows;

/// Takes an entry out of its lane whose row says nothing, and tells the parent that the entry names.
pub(crate) fn entry(
    draft: &mut Draft<'_>,
    key: &Key,
    id: TaskId,
    parent: Option<TaskId>,
    Damage(reason): Damage,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome<BadRecord> {
    tracing::warn!(%id, reason, "a task that cannot be read was put aside");
    draft.remove(key.clone());
    draft.put(keys::aside(id), key.as_slice());
    if let Some((queue, ..)) = keys::lane_parts(key) {
        rows::count(draft, &queue, State::Pending, -1)?;
        rows::count(draft, &queue, State::Failed, 1)?;
    }
    let states = (State::Pending, State::Failed);
    parents::child_changed(draft, parent, states, now, effects)?;
    Ok(BadRecord {
        id,
        version: 0,
        reason: reason.to_owned(),
    })
}

/// Moves a row to failed whose body or note cannot be read.
pub(crate) fn row(
    draft: &mut Draft<'_>,
    row: &Row,
    Damage(reason): Damage,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome<BadRecord> {
    let id = row.task.id;
    tracing::warn!(%id, reason, "a task that cannot be read was moved to failed");
    let mut failed = row.clone();
    let task = &mut failed.task;
    task.state = State::Failed;
    task.version = (task.version + 1).min(MAX_VERSION);
    task.updated_at = now;
    task.alarm_at = None;
    let version = task.version;
    rows::write(draft, Some(row), &failed)?;
    let states = (State::Pending, State::Failed);
    parents::child_changed(draft, row.task.parent, states, now, effects)?;
    Ok(BadRecord {
        id,
        version,
        reason: reason.to_owned(),
    })
}

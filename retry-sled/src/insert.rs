//! Inserts (laws 1, 2): repeated, duplicate, replaced, or new.

use retry_core::id::TaskId;
use retry_core::machine;
use retry_core::store::Inserted;
use retry_core::task::{NewTask, OnDuplicate, State, Task, Unique};
use retry_core::time::Timestamp;

use crate::draft::Draft;
use crate::effects::Effects;
use crate::error::Outcome;
use crate::keys;
use crate::record::{Body, Row};
use crate::rows::{self, Found};
use crate::sessions::is_live;
use crate::view::View;

/// Inserts one task. `edited` is the task whose edit carries it, if one does: what that edit is about to write anyway is
/// not replaced by it.
pub(crate) fn insert(
    draft: &mut Draft<'_>,
    new: &NewTask,
    edited: Option<TaskId>,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome<Inserted> {
    if draft.has(&keys::row(new.id))? {
        return Ok(Inserted::Repeated);
    }
    if let Some(unique) = &new.unique
        && let Some(answer) = duplicate(draft, new, unique, edited, now, effects)?
    {
        return Ok(answer);
    }
    let mut task = Task::pending(new, now);
    let leased = match new.leased_by.filter(|_| new.run_at <= now) {
        Some(session) if is_live(draft, session)? && !is_paused(draft, new)? => {
            task = machine::claim(&task, session, now);
            true
        }
        _ => false,
    };
    effects.written(&task, now);
    let mut row = Row {
        task,
        nonce: 0,
        noted: false,
        body: None,
    };
    let body = Body {
        payload: new.payload.clone(),
        headers: new.headers.clone(),
    };
    if body.is_small() {
        row.body = Some(body);
    } else {
        rows::set_body(draft, &mut row, body)?;
    }
    rows::write(draft, None, &row)?;
    Ok(Inserted::New { leased })
}

fn is_paused(draft: &Draft<'_>, new: &NewTask) -> Outcome<bool> {
    draft.has(&keys::paused(&new.queue))
}

/// The answer for a key that is held; none when it is free. A holder that cannot be read is one in a failed state: it was,
/// or will be, put aside, and still holds its key.
fn duplicate(
    draft: &mut Draft<'_>,
    new: &NewTask,
    unique: &Unique,
    edited: Option<TaskId>,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome<Option<Inserted>> {
    let Some(holder) = rows::key_holder(draft, &new.kind, &unique.key)? else {
        return Ok(None);
    };
    let row = match rows::load(draft, holder)? {
        Found::Row(row) => row,
        Found::Missing => return Ok(None),
        Found::Bad(_) => {
            let state = State::Failed;
            return Ok(Some(Inserted::Duplicate { holder, state }));
        }
    };
    let state = row.task.state;
    let OnDuplicate::Replace { payload, run_at } = unique.on_duplicate else {
        return Ok(Some(Inserted::Duplicate { holder, state }));
    };
    if state != State::Pending {
        return Ok(Some(Inserted::Duplicate { holder, state }));
    }
    if edited == Some(holder) {
        return Ok(Some(Inserted::Replaced { holder }));
    }
    let mut replaced = (*row).clone();
    replaced.task.version += 1;
    replaced.task.updated_at = now;
    if run_at {
        replaced.task.run_at = new.run_at.max(now);
    }
    if payload {
        let body = Body {
            payload: new.payload.clone(),
            headers: new.headers.clone(),
        };
        rows::set_body(draft, &mut replaced, body)?;
    }
    effects.written(&replaced.task, now);
    rows::write(draft, Some(&row), &replaced)?;
    Ok(Some(Inserted::Replaced { holder }))
}

//! Forgetting (laws 1, 13): ended tasks whose time is over, and lost sessions that hold nothing.

use retry_core::limits::PURGE_CHILD_DELAY;
use retry_core::time::Timestamp;

use crate::draft::Draft;
use crate::error::Outcome;
use crate::keys;
use crate::parents::is_awaited;
use crate::rows;
use crate::sessions;
use crate::view::View;

pub(crate) fn purge(draft: &mut Draft<'_>, now: Timestamp, limit: usize) -> Outcome<u64> {
    let mut purged = 0;
    for (key, id) in due(draft, now, limit)? {
        let Some(row) = rows::load_sound(draft, id)? else {
            // What cannot be read keeps its place in the lists; only its turn here is over.
            draft.remove(key);
            continue;
        };
        if is_awaited(draft, row.task.parent)? {
            let mut later = (*row).clone();
            later.task.purge_at = Some(now.saturating_add(PURGE_CHILD_DELAY));
            rows::write(draft, Some(&row), &later)?;
        } else {
            rows::forget(draft, &row)?;
            purged += 1;
        }
    }
    sweep_sessions(draft)?;
    Ok(purged)
}

fn due(draft: &Draft<'_>, now: Timestamp, limit: usize) -> Outcome<Vec<(keys::Key, retry_core::id::TaskId)>> {
    let mut due = Vec::new();
    if limit == 0 {
        return Ok(due);
    }
    let last = [&[keys::PURGE], keys::ordered(now).as_slice()].concat();
    draft.scan(&[keys::PURGE], &keys::behind(&last), &mut |key, _| {
        due.extend(keys::id_at_end(key).map(|id| (key.to_vec(), id)));
        due.len() < limit
    })?;
    Ok(due)
}

fn sweep_sessions(draft: &mut Draft<'_>) -> Outcome<()> {
    for row in sessions::all(draft)? {
        let id = row.session.info.id;
        if row.session.lost && !sessions::holds(draft, id)? {
            draft.remove_long(&keys::session(id))?;
        }
    }
    Ok(())
}

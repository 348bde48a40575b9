//! Forgetting (laws 1, 13): ended tasks whose time is over, and lost sessions that hold nothing.

use retry_core::id::TaskId;
use retry_core::limits::PURGE_CHILD_DELAY;
use retry_core::time::Timestamp;

use crate::draft::Draft;
use crate::error::Outcome;
use crate::keys;
use crate::members;
use crate::parents::is_awaited;
use crate::rows;
use crate::sessions;
use crate::view::View;

pub(crate) fn purge(draft: &mut Draft<'_>, now: Timestamp, limit: usize) -> Outcome<u64> {
    let mut purged = 0;
    for (at, id) in due(draft, now, limit)? {
        let Some(row) = rows::load_sound(draft, id)? else {
            // What cannot be read keeps its place in the lists; only its turn here is over.
            members::remove(draft, &keys::purge(at), id)?;
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

/// The first tasks whose time is over, by time and id.
fn due(draft: &Draft<'_>, now: Timestamp, limit: usize) -> Outcome<Vec<(Timestamp, TaskId)>> {
    let mut due: Vec<(Timestamp, TaskId)> = Vec::new();
    let last = keys::behind(&keys::purge(now));
    draft.scan(&[keys::PURGE], &last, &mut |key, ids| {
        let Some((_, at)) = keys::purge_parts(key) else {
            return true;
        };
        // The ids of one time are in several buckets: all of them or none.
        let is_next = due.last().is_none_or(|(last, _)| *last < at);
        if is_next && due.len() >= limit {
            return false;
        }
        due.extend(members::ids_of(ids).map(|id| (at, id)));
        true
    })?;
    due.sort_unstable();
    due.truncate(limit);
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

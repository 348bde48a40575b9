//! Parents (law 8): the news of a child's end or rerun, and whether a parent still needs its child.

use retry_core::id::TaskId;
use retry_core::machine::join;
use retry_core::task::State;
use retry_core::time::Timestamp;

use crate::draft::Draft;
use crate::effects::Effects;
use crate::error::Outcome;
use crate::rows;
use crate::view::View;

/// Whether a parent that has not ended still needs its child.
pub(crate) fn is_awaited(view: &dyn View, parent: Option<TaskId>) -> Outcome<bool> {
    let Some(parent) = parent else { return Ok(false) };
    let parent = rows::load_sound(view, parent)?;
    Ok(parent.is_some_and(|parent| !parent.task.state.is_final()))
}

/// Counts the end, or the rerun, of a child at its parent, which wakes when no child is open. A parent that is not
/// stored, or cannot be read, is passed over.
pub(crate) fn child_changed(
    draft: &mut Draft<'_>,
    parent: Option<TaskId>,
    (before, after): (State, State),
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome<()> {
    if before.is_final() == after.is_final() {
        return Ok(());
    }
    let Some(parent) = parent else { return Ok(()) };
    let Some(row) = rows::load_sound(draft, parent)? else {
        return Ok(());
    };
    let mut told = (*row).clone();
    let children = &mut told.task.children;
    if after.is_final() {
        children.open = children.open.saturating_sub(1);
        children.failed += u32::from(after.is_unsuccessful());
    } else {
        children.open += 1;
        children.failed = children
            .failed
            .saturating_sub(u32::from(before.is_unsuccessful()));
    }
    if let Some(joined) = join(&told.task, now) {
        let task = &mut told.task;
        (task.state, task.run_at, task.alarm_at) = (joined.state, joined.run_at, joined.alarm_at);
        task.updated_at = now;
        effects.written(task, now);
    }
    rows::write(draft, Some(&row), &told)
}

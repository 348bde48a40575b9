//! Parents (law 8): the ends of children counted in memory, the join at the moment the last one ends.

use std::collections::HashMap;

use retry_core::id::TaskId;
use retry_core::machine::join;
use retry_core::name::Kind;
use retry_core::task::{Children, Settings, State, Task};
use retry_core::time::Timestamp;

use crate::board::{Board, Row};
use crate::effects::Effects;
use crate::error::Outcome;
use crate::memo::Memo;
use crate::record;
use crate::tx::Tx;
use crate::types::ids;

/// The settings of those parents whose last child may end in this call.
pub(crate) type JoinSettings = HashMap<TaskId, Settings>;

/// Reads the settings of parents with so few open children that the `edited` rows may be the last of them.
pub(crate) async fn join_settings(
    tx: &mut Tx<'_>,
    board: &Board,
    edited: impl IntoIterator<Item = TaskId>,
    memo: &mut Memo,
) -> Outcome<JoinSettings> {
    let mut children: HashMap<TaskId, u32> = HashMap::new();
    for id in edited {
        if let Some(parent) = board.row(id).and_then(|row| row.parent) {
            *children.entry(parent).or_default() += 1;
        }
    }
    let may_join = |(id, n): &(TaskId, u32)| {
        board
            .row(*id)
            .is_some_and(|row| !row.state.is_final() && row.open <= *n)
    };
    let parents: Vec<TaskId> = children.into_iter().filter(may_join).map(|(id, _)| id).collect();
    settings_of(tx, &parents, memo).await
}

/// Reads the settings of tasks, as far as they can be read.
pub(crate) async fn settings_of(tx: &mut Tx<'_>, tasks: &[TaskId], memo: &mut Memo) -> Outcome<JoinSettings> {
    let mut settings = JoinSettings::new();
    if tasks.is_empty() {
        return Ok(settings);
    }
    let statement = tx.query(&tx.sql.settings_read).bind(ids(tasks.iter().copied()));
    for row in tx.rows(statement).await? {
        let stored = record::value(&row, 1).ok().and_then(|text| memo.settings(text));
        if let (Ok(id), Some(stored)) = (record::task_id(&row, 0), stored) {
            settings.insert(id, stored);
        }
    }
    Ok(settings)
}

/// Counts the end, or the rerun, of a child at its parent, which wakes when no child is open.
pub(crate) fn child_changed(
    board: &mut Board,
    parent: Option<TaskId>,
    (before, after): (State, State),
    settings: &JoinSettings,
    now: Timestamp,
    effects: &mut Effects,
) {
    let Some(id) = parent.filter(|_| before.is_final() != after.is_final()) else {
        return;
    };
    let Some(row) = board.row_mut(id) else { return };
    if after.is_final() {
        row.open = row.open.saturating_sub(1);
        row.failed += u32::from(after.is_unsuccessful());
    } else {
        row.open += 1;
        row.failed = row.failed.saturating_sub(u32::from(before.is_unsuccessful()));
    }
    row.dirty = true;
    if row.state == State::Joining && row.open == 0 {
        join_now(row, settings.get(&id), now, effects);
    }
}

/// What becomes of a parent without open children.
fn join_now(row: &mut Row, settings: Option<&Settings>, now: Timestamp, effects: &mut Effects) {
    let task = settings.and_then(|settings| task_of(row, settings));
    let Some(task) = task else {
        tracing::warn!(id = %row.id, "a parent that cannot be read stays as it is");
        return;
    };
    let Some(joined) = join(&task, now) else { return };
    (row.state, row.run_at, row.alarm_at) = (joined.state, joined.run_at, joined.alarm_at);
    row.updated_at = now;
    if joined.state == State::Pending {
        effects.pending(&task.queue, joined.run_at, now);
    }
}

/// What a join looks at: everything else has any value.
fn task_of(row: &Row, settings: &Settings) -> Option<Task> {
    let (priority, _) = record::lane_of(row.level)?;
    Some(Task {
        id: row.id,
        kind: Kind::new("parent").ok()?,
        queue: row.queue.clone()?,
        priority,
        created_at: row.updated_at,
        state: row.state,
        run_at: row.run_at,
        attempt: row.attempt,
        crashes: row.crashes,
        step: row.step,
        version: row.version,
        session: row.session,
        cancel_requested: row.cancel_requested,
        alarm_at: row.alarm_at,
        purge_at: row.purge_at,
        holds_key: row.holds_key,
        updated_at: row.updated_at,
        unique: None,
        parent: row.parent,
        children: Children {
            total: row.total,
            open: row.open,
            failed: row.failed,
        },
        settings: settings.clone(),
        wait_secret: 0,
        reruns: 0,
    })
}

/// Whether a parent that has not ended still needs this child.
pub(crate) fn is_awaited(board: &Board, row: &Row) -> bool {
    let parent = row.parent.and_then(|parent| board.row(parent));
    parent.is_some_and(|parent| !parent.state.is_final())
}

/// A child runs again only while its parent waits for its children.
pub(crate) fn may_rerun(board: &Board, row: &Row) -> bool {
    let Some(parent) = row.parent else { return true };
    board
        .row(parent)
        .is_some_and(|parent| parent.state == State::Joining)
}

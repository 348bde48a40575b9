//! Parents (law 8): the ends of children counted in memory, and the join at the moment the last one ends.

use retry_core::id::TaskId;
use retry_core::machine::join;
use retry_core::task::State;

use crate::rows::Rows;

impl Rows {
    /// Counts the end, or the rerun, of a child at its parent, which wakes when no child is open.
    pub(crate) fn child_changed(&mut self, parent: Option<TaskId>, before: State, after: State) {
        if before.is_final() == after.is_final() {
            return;
        }
        let Some(mut hot) = parent.and_then(|parent| self.hot(parent)).cloned() else {
            return;
        };
        let children = &mut hot.children;
        if after.is_final() {
            children.open = children.open.saturating_sub(1);
            children.failed += u32::from(after.is_unsuccessful());
        } else {
            children.open += 1;
            children.failed = children
                .failed
                .saturating_sub(u32::from(before.is_unsuccessful()));
        }
        if hot.state == State::Joining && hot.children.open == 0 {
            let settings = self.slots.get(&hot.id).and_then(|slot| slot.settings.clone());
            match settings {
                Some(settings) => {
                    if let Some(joined) = join(&hot.clone().into_task(settings), self.now) {
                        (hot.state, hot.run_at) = (joined.state, joined.run_at);
                        (hot.alarm_at, hot.updated_at) = (joined.alarm_at, self.now);
                    }
                }
                None => tracing::warn!(id = %hot.id, "a parent whose settings cannot be read stays as it is"),
            }
        }
        self.put(hot);
    }
}

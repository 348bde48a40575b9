//! Inserts (laws 1, 2), decided in memory: a new row, or the answer why not.

use retry_core::id::TaskId;
use retry_core::machine::claim;
use retry_core::store::Inserted;
use retry_core::task::{NewTask, OnDuplicate, State, Task, Unique};

use crate::body::fits_in_row;
use crate::hot::Hot;
use crate::rows::{Rows, Slot};

/// Whether all is one row, and nothing but the task itself can be in its way: one statement, which needs no transaction.
pub(crate) fn is_one_row(tasks: &[NewTask]) -> bool {
    matches!(tasks, [task] if task.unique.is_none() && task.leased_by.is_none() && fits_in_row(task))
}

impl Rows {
    /// Inserts one task. `edited` is the task whose edit carries it, if one does: what that edit is about to write anyway
    /// is not replaced by it.
    pub(crate) fn insert(&mut self, new: &NewTask, edited: Option<TaskId>) -> Inserted {
        if self.exists(new.id) {
            return Inserted::Repeated;
        }
        if let Some(unique) = &new.unique
            && let Some(holder) = self.holder(&new.kind, &unique.key)
        {
            // A task that is sent again is the same task, even if another one has its key by now.
            self.is_unsure |= !self.looked.contains(&new.id);
            return self.duplicate(new, unique, holder, edited);
        }
        let pending = Task::pending(new, self.now);
        let lease = new.leased_by.filter(|session| {
            new.run_at <= self.now && self.leases.get(&(*session, new.queue.clone())) == Some(&true)
        });
        let task = lease.map_or_else(|| pending.clone(), |session| claim(&pending, session, self.now));
        let was = self.slots.remove(&new.id).and_then(|slot| slot.was);
        self.slots.insert(new.id, Slot::born(was, new, Hot::of(&task)));
        self.put(Hot::of(&task));
        self.effects.newest = self.effects.newest.max(Some(new.id));
        Inserted::New {
            leased: lease.is_some(),
        }
    }

    fn duplicate(
        &mut self,
        new: &NewTask,
        unique: &Unique,
        holder: TaskId,
        edited: Option<TaskId>,
    ) -> Inserted {
        // An unreadable holder still holds; it answers as one that is kept.
        let state = self.hot(holder).map_or(State::Failed, |hot| hot.state);
        let (OnDuplicate::Replace { payload, run_at }, State::Pending) = (unique.on_duplicate, state) else {
            return Inserted::Duplicate { holder, state };
        };
        if edited != Some(holder) {
            self.replace(new, holder, payload, run_at);
        }
        Inserted::Replaced { holder }
    }

    fn replace(&mut self, new: &NewTask, holder: TaskId, payload: bool, run_at: bool) {
        let Some(mut hot) = self.hot(holder).cloned() else {
            return;
        };
        (hot.version, hot.updated_at) = (hot.version + 1, self.now);
        if run_at {
            hot.run_at = new.run_at.max(self.now);
        }
        self.put(hot);
        if payload && let Some(slot) = self.slots.get_mut(&holder) {
            slot.set_payload(&new.payload);
            slot.set_headers(&new.headers);
        }
    }
}

//! Inserts and edits (laws 1, 2, 6, 8). The machine has decided; here it is compared and written.

use retry_core::machine::{claim, join};
use retry_core::store::{Applied, Inserted, Took};
use retry_core::task::{
    Action, Change, ClaimedTask, Completion, Edit, NewTask, OnDuplicate, State, Target, Task, TaskDetail,
};
use retry_core::time::Timestamp;

use crate::rows::{Row, Rows};

impl Rows {
    pub(crate) fn insert(&mut self, new: &NewTask, now: Timestamp) -> Inserted {
        if self.row(new.id).is_some() {
            return Inserted::Repeated;
        }
        let key = new.unique.as_ref().map(|unique| &unique.key);
        if let Some(holder) = key.and_then(|key| self.holder(&new.kind, key)) {
            let holder = holder.clone();
            return self.duplicate(new, &holder, now);
        }
        let mut task = Task::pending(new, now);
        let born = new
            .leased_by
            .filter(|session| new.run_at <= now && !self.is_paused(&new.queue) && self.is_live(*session));
        if let Some(session) = born {
            task = claim(&task, session, now);
        }
        let detail = TaskDetail::new(ClaimedTask {
            task,
            payload: new.payload.clone(),
            headers: new.headers.clone(),
            checkpoint: None,
            completion: None,
        });
        self.put(Row { detail, nonce: 0 });
        Inserted::New {
            leased: born.is_some(),
        }
    }

    fn duplicate(&mut self, new: &NewTask, holder: &Task, now: Timestamp) -> Inserted {
        let (id, state) = (holder.id, holder.state);
        let rule = new.unique.as_ref().map(|unique| unique.on_duplicate);
        let (Some(OnDuplicate::Replace { payload, run_at }), State::Pending) = (rule, state) else {
            return Inserted::Duplicate { holder: id, state };
        };
        if let Some(mut row) = self.row(id).cloned() {
            row.detail.task.version += 1;
            row.detail.task.updated_at = now;
            if run_at {
                row.detail.task.run_at = new.run_at.max(now);
            }
            if payload {
                (row.detail.payload, row.detail.headers) = (new.payload.clone(), new.headers.clone());
            }
            self.put(row);
        }
        Inserted::Replaced { holder: id }
    }

    pub(crate) fn apply(&mut self, edit: &Edit, now: Timestamp) -> Applied {
        let Some(row) = self.row(edit.id).cloned() else {
            return Applied::Missing;
        };
        if row.nonce == edit.nonce.get() {
            return Applied::Repeated;
        }
        match &edit.action {
            Action::RequestCancel => self.request_cancel(row),
            Action::StoreCompletion(completion) => self.store_completion(row, completion),
            Action::Delete { from } => self.delete(&row, *from, edit, now),
            Action::Set(change) => self.set(row, change, edit, now),
        }
    }

    fn request_cancel(&mut self, mut row: Row) -> Applied {
        if row.detail.task.state != State::Running {
            return Applied::Stale;
        }
        row.detail.task.cancel_requested = true;
        self.put(row);
        Applied::DONE
    }

    fn store_completion(&mut self, mut row: Row, completion: &Completion) -> Applied {
        let task = &row.detail.task;
        if !matches!(task.state, State::Pending | State::Running) || task.step != completion.step {
            return Applied::Stale;
        }
        if row.detail.early_completion.is_some() {
            return Applied::Repeated;
        }
        row.detail.early_completion = Some(completion.clone());
        self.put(row);
        Applied::DONE
    }

    fn delete(&mut self, row: &Row, from: State, edit: &Edit, now: Timestamp) -> Applied {
        let task = &row.detail.task;
        if task.version != edit.version || task.state != from || self.is_awaited(task) {
            return Applied::Stale;
        }
        self.remove(task.id);
        Applied::Done {
            inserted: edit.insert.iter().map(|new| self.insert(new, now)).collect(),
            took: Took::Primary,
        }
    }

    fn set(&mut self, mut row: Row, change: &Change, edit: &Edit, now: Timestamp) -> Applied {
        let before = row.detail.task.clone();
        if before.version != edit.version || before.state != change.from {
            return Applied::Stale;
        }
        if before.state.is_final() && !change.to.state.is_final() && !self.may_rerun(&before) {
            return Applied::Stale;
        }
        if let (false, true, Some((key, _))) = (before.holds_key, change.to.holds_key, &before.unique)
            && let Some(holder) = self.holder(&before.kind, key)
        {
            return Applied::KeyTaken(holder.id);
        }
        let (target, took, inserted) = self.pick(&mut row, change, edit, now);
        target.write_to(&mut row.detail, now);
        row.nonce = edit.nonce.get();
        let after = row.detail.task.clone();
        self.put(row);
        self.tell_parent(&before, &after, now);
        Applied::Done { inserted, took }
    }

    /// Makes the edit's inserts and picks the first target that fits the row.
    fn pick<'a>(
        &mut self,
        row: &mut Row,
        change: &'a Change,
        edit: &Edit,
        now: Timestamp,
    ) -> (&'a Target, Took, Vec<Inserted>) {
        if let (true, Some(target)) = (row.detail.task.cancel_requested, &change.if_cancelled) {
            return (target, Took::Cancelled, Vec::new());
        }
        // A key that the edit frees is free for its own inserts.
        row.detail.task.holds_key &= change.to.holds_key;
        self.put(row.clone());
        let inserted: Vec<Inserted> = edit.insert.iter().map(|new| self.insert(new, now)).collect();
        for (new, answer) in edit.insert.iter().zip(&inserted) {
            if new.parent.is_some() && matches!(answer, Inserted::New { .. }) {
                row.detail.task.children.total += 1;
                row.detail.task.children.open += 1;
            }
        }
        match (&change.if_completed, &change.if_none_open) {
            (Some(target), _) if row.detail.early_completion.is_some() => (target, Took::Completed, inserted),
            (_, Some(target)) if row.detail.task.children.open == 0 => (target, Took::NoneOpen, inserted),
            _ => (&change.to, Took::Primary, inserted),
        }
    }

    /// A child runs again only while its parent waits for its children.
    fn may_rerun(&self, task: &Task) -> bool {
        let Some(parent) = task.parent else { return true };
        self.detail(parent)
            .is_some_and(|parent| parent.task.state == State::Joining)
    }

    /// Counts the end, or the rerun, of a child at its parent; `join` says what becomes of that.
    fn tell_parent(&mut self, before: &Task, after: &Task, now: Timestamp) {
        if before.state.is_final() == after.state.is_final() {
            return;
        }
        let Some(mut row) = after.parent.and_then(|parent| self.row(parent)).cloned() else {
            return;
        };
        let children = &mut row.detail.task.children;
        if after.state.is_final() {
            children.open = children.open.saturating_sub(1);
            children.failed += u32::from(after.state.is_unsuccessful());
        } else {
            children.open += 1;
            let failed = u32::from(before.state.is_unsuccessful());
            children.failed = children.failed.saturating_sub(failed);
        }
        if let Some(joined) = join(&row.detail.task, now) {
            let task = &mut row.detail.task;
            (task.state, task.run_at, task.alarm_at) = (joined.state, joined.run_at, joined.alarm_at);
            task.updated_at = now;
        }
        self.put(row);
    }
}

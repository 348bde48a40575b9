//! Inserts and edits.

use super::rows::{Row, Rows};
use crate::id::TaskId;
use crate::machine::{claim, join};
use crate::store::{Applied, Inserted, Took};
use crate::task::{
    Action, Change, Completion, Edit, NewTask, OnDuplicate, State, Target, Task, TaskDetail, Unique,
};
use crate::time::Timestamp;

impl Rows {
    pub(super) fn insert(&mut self, new: &NewTask, now: Timestamp) -> Inserted {
        if self.rows.contains_key(&new.id) {
            return Inserted::Repeated;
        }
        if let Some(unique) = &new.unique
            && let Some(holder) = self.key_holder(&new.kind, &unique.key)
        {
            return self.duplicate(new, unique, holder, now);
        }
        let mut task = Task::pending(new, now);
        let leased = new.leased_by.filter(|session| {
            new.run_at <= now && !self.paused.contains(&new.queue) && self.is_live(*session)
        });
        if let Some(session) = leased {
            task = claim(&task, session, now);
        }
        self.put(Box::new(Row {
            detail: detail(new, task),
            last_nonce: 0,
        }));
        Inserted::New {
            leased: leased.is_some(),
        }
    }

    fn duplicate(&mut self, new: &NewTask, unique: &Unique, holder: TaskId, now: Timestamp) -> Inserted {
        let Some(mut row) = self.rows.get(&holder).cloned() else {
            unreachable!("the key index names stored rows only");
        };
        let task = &mut row.detail.task;
        let OnDuplicate::Replace { payload, run_at } = unique.on_duplicate else {
            return Inserted::Duplicate {
                holder,
                state: task.state,
            };
        };
        if task.state != State::Pending {
            return Inserted::Duplicate {
                holder,
                state: task.state,
            };
        }
        task.version += 1;
        task.updated_at = now;
        if run_at {
            task.run_at = new.run_at.max(now);
        }
        if payload {
            (row.detail.payload, row.detail.headers) = (new.payload.clone(), new.headers.clone());
        }
        self.put(row);
        Inserted::Replaced { holder }
    }

    pub(super) fn apply(&mut self, edit: &Edit, now: Timestamp) -> Applied {
        let Some(row) = self.rows.get(&edit.id).cloned() else {
            return Applied::Missing;
        };
        if row.last_nonce == edit.nonce.get() {
            return Applied::Repeated;
        }
        match &edit.action {
            Action::RequestCancel => self.request_cancel(row),
            Action::StoreCompletion(completion) => self.store_completion(row, completion),
            Action::Delete { from } => self.delete(&row, *from, edit, now),
            Action::Set(change) => self.set(row, change, edit, now),
        }
    }

    fn request_cancel(&mut self, mut row: Box<Row>) -> Applied {
        if row.detail.task.state != State::Running {
            return Applied::Stale;
        }
        row.detail.task.cancel_requested = true;
        self.put(row);
        Applied::DONE
    }

    fn store_completion(&mut self, mut row: Box<Row>, completion: &Completion) -> Applied {
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
        let inserted = edit.insert.iter().map(|new| self.insert(new, now)).collect();
        Applied::Done {
            inserted,
            took: Took::Primary,
        }
    }

    /// Whether a parent that has not ended still needs this child.
    pub(super) fn is_awaited(&self, task: &Task) -> bool {
        let parent = task.parent.and_then(|parent| self.rows.get(&parent));
        parent.is_some_and(|parent| !parent.detail.task.state.is_final())
    }

    fn set(&mut self, mut row: Box<Row>, change: &Change, edit: &Edit, now: Timestamp) -> Applied {
        let before = &row.detail.task;
        if before.version != edit.version || before.state != change.from {
            return Applied::Stale;
        }
        if is_rerun(before, &change.to) && !self.may_rerun(before) {
            return Applied::Stale;
        }
        if let (false, true, Some((key, _))) = (before.holds_key, change.to.holds_key, &before.unique)
            && let Some(holder) = self.key_holder(&before.kind, key)
        {
            return Applied::KeyTaken(holder);
        }
        let (parent, before) = (before.parent, before.state);
        let (target, took, inserted) = self.pick(&mut row, change, edit, now);
        target.write_to(&mut row.detail, now);
        row.last_nonce = edit.nonce.get();
        self.put(row);
        if let Some(parent) = parent {
            self.tell_parent(parent, before, target.state, now);
        }
        Applied::Done { inserted, took }
    }

    /// Makes the edit's inserts and picks the first target that fits.
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
        if !change.to.holds_key {
            self.free_key(&row.detail.task);
        }
        let mut inserted = Vec::with_capacity(edit.insert.len());
        for new in &edit.insert {
            let answer = self.insert(new, now);
            if new.parent.is_some() && matches!(answer, Inserted::New { .. }) {
                row.detail.task.children.total += 1;
                row.detail.task.children.open += 1;
            }
            inserted.push(answer);
        }
        match (&change.if_completed, &change.if_none_open) {
            (Some(target), _) if row.detail.early_completion.is_some() => (target, Took::Completed, inserted),
            (_, Some(target)) if row.detail.task.children.open == 0 => (target, Took::NoneOpen, inserted),
            _ => (&change.to, Took::Primary, inserted),
        }
    }

    fn may_rerun(&self, task: &Task) -> bool {
        let Some(parent) = task.parent else { return true };
        self.rows
            .get(&parent)
            .is_some_and(|parent| parent.detail.task.state == State::Joining)
    }

    /// Counts the end, or the rerun, of a child at its parent, which wakes when no child is open.
    fn tell_parent(&mut self, parent: TaskId, before: State, after: State, now: Timestamp) {
        let Some(mut row) = self.rows.get(&parent).cloned() else {
            return;
        };
        let children = &mut row.detail.task.children;
        match (before.is_final(), after.is_final()) {
            (false, true) => {
                children.open = children.open.saturating_sub(1);
                children.failed += u32::from(after.is_unsuccessful());
            }
            (true, false) => {
                children.open += 1;
                children.failed = children
                    .failed
                    .saturating_sub(u32::from(before.is_unsuccessful()));
            }
            _ => return,
        }
        if let Some(joined) = join(&row.detail.task, now) {
            let task = &mut row.detail.task;
            (task.state, task.run_at, task.alarm_at) = (joined.state, joined.run_at, joined.alarm_at);
            task.updated_at = now;
        }
        self.put(row);
    }
}

fn is_rerun(task: &Task, target: &Target) -> bool {
    task.state.is_final() && !target.state.is_final()
}

fn detail(new: &NewTask, task: Task) -> TaskDetail {
    TaskDetail::new(crate::task::ClaimedTask {
        task,
        payload: new.payload.clone(),
        headers: new.headers.clone(),
        checkpoint: None,
        completion: None,
    })
}

//! Inserts and edits in the model.

use retry_core::id::TaskId;
use retry_core::machine::{claim, join};
use retry_core::store::{Applied, Inserted, Took};
use retry_core::task::{
    Action, Change, ClaimedTask, Completion, Edit, NewTask, OnDuplicate, State, Target, Task, TaskDetail,
};
use retry_core::time::Timestamp;

use super::{Reference, Row};

impl Reference {
    pub(in crate::model) fn insert(&mut self, new: &NewTask, now: Timestamp) -> Inserted {
        if self.rows.contains_key(&new.id) {
            return Inserted::Repeated;
        }
        let key = new.unique.as_ref().map(|unique| &unique.key);
        if let Some(holder) = key.and_then(|key| self.holder(&new.kind, key)) {
            let (holder, state) = (holder.id, holder.state);
            return self.duplicate(new, holder, state, now);
        }
        let mut task = Task::pending(new, now);
        let born = new.leased_by.filter(|session| {
            self.is_live(*session) && !self.paused.contains(&new.queue) && new.run_at <= now
        });
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
        self.rows.insert(new.id, Row { detail, nonce: 0 });
        Inserted::New {
            leased: born.is_some(),
        }
    }

    fn duplicate(&mut self, new: &NewTask, holder: TaskId, state: State, now: Timestamp) -> Inserted {
        let rule = new.unique.as_ref().map(|unique| unique.on_duplicate);
        let (Some(OnDuplicate::Replace { payload, run_at }), State::Pending) = (rule, state) else {
            return Inserted::Duplicate { holder, state };
        };
        if let Some(Row { detail, .. }) = self.rows.get_mut(&holder) {
            detail.task.version += 1;
            detail.task.updated_at = now;
            if run_at {
                detail.task.run_at = new.run_at.max(now);
            }
            if payload {
                detail.payload = new.payload.clone();
                detail.headers = new.headers.clone();
            }
        }
        Inserted::Replaced { holder }
    }

    pub(in crate::model) fn apply(&mut self, edit: &Edit, now: Timestamp) -> Applied {
        let Some(row) = self.rows.get(&edit.id) else {
            return Applied::Missing;
        };
        if row.nonce == edit.nonce.get() {
            return Applied::Repeated;
        }
        let task = row.detail.task.clone();
        match &edit.action {
            Action::RequestCancel if task.state == State::Running => {
                self.change(edit.id, |detail| detail.task.cancel_requested = true);
                Applied::DONE
            }
            Action::RequestCancel => Applied::Stale,
            Action::StoreCompletion(completion) => self.store_completion(&task, completion),
            Action::Delete { from } => self.delete(&task, *from, edit, now),
            Action::Set(change) => self.set(&task, change, edit, now),
        }
    }

    fn change(&mut self, id: TaskId, change: impl FnOnce(&mut TaskDetail)) {
        if let Some(row) = self.rows.get_mut(&id) {
            change(&mut row.detail);
        }
    }

    fn store_completion(&mut self, task: &Task, completion: &Completion) -> Applied {
        if !matches!(task.state, State::Pending | State::Running) || task.step != completion.step {
            return Applied::Stale;
        }
        let mut answer = Applied::Repeated;
        self.change(task.id, |detail| {
            if detail.early_completion.is_none() {
                detail.early_completion = Some(completion.clone());
                answer = Applied::DONE;
            }
        });
        answer
    }

    fn delete(&mut self, task: &Task, from: State, edit: &Edit, now: Timestamp) -> Applied {
        let awaited = self
            .parent_of(task)
            .is_some_and(|parent| !parent.state.is_final());
        if task.version != edit.version || task.state != from || awaited {
            return Applied::Stale;
        }
        self.rows.remove(&task.id);
        let inserted = edit.insert.iter().map(|new| self.insert(new, now)).collect();
        Applied::Done {
            inserted,
            took: Took::Primary,
        }
    }

    fn set(&mut self, task: &Task, change: &Change, edit: &Edit, now: Timestamp) -> Applied {
        if task.version != edit.version || task.state != change.from {
            return Applied::Stale;
        }
        let reruns = task.state.is_final() && !change.to.state.is_final();
        let parent_joins = self
            .parent_of(task)
            .is_some_and(|parent| parent.state == State::Joining);
        if reruns && task.parent.is_some() && !parent_joins {
            return Applied::Stale;
        }
        if change.to.holds_key
            && !task.holds_key
            && let Some((key, _)) = &task.unique
            && let Some(holder) = self.holder(&task.kind, key)
        {
            return Applied::KeyTaken(holder.id);
        }
        let (target, took, inserted) = self.pick(task, change, edit, now);
        self.change(task.id, |detail| target.write_to(detail, now));
        if let Some(row) = self.rows.get_mut(&task.id) {
            row.nonce = edit.nonce.get();
        }
        self.count_at_parent(task, target.state, now);
        Applied::Done { inserted, took }
    }

    /// Makes the inserts and finds the first target that fits.
    fn pick(
        &mut self,
        task: &Task,
        change: &Change,
        edit: &Edit,
        now: Timestamp,
    ) -> (Target, Took, Vec<Inserted>) {
        if let (true, Some(target)) = (task.cancel_requested, &change.if_cancelled) {
            return (target.as_ref().clone(), Took::Cancelled, Vec::new());
        }
        if !change.to.holds_key {
            self.change(task.id, |detail| detail.task.holds_key = false);
        }
        let mut inserted = Vec::new();
        for new in &edit.insert {
            let answer = self.insert(new, now);
            if new.parent == Some(task.id) && matches!(answer, Inserted::New { .. }) {
                self.change(task.id, |detail| {
                    detail.task.children.total += 1;
                    detail.task.children.open += 1;
                });
            }
            inserted.push(answer);
        }
        let (mut early, mut open) = (false, 0);
        self.change(task.id, |detail| {
            let stored = detail.early_completion.as_ref();
            early = stored.is_some_and(|stored| stored.step == detail.task.step);
            open = detail.task.children.open;
        });
        match (&change.if_completed, &change.if_none_open) {
            (Some(target), _) if early => (target.as_ref().clone(), Took::Completed, inserted),
            (_, Some(target)) if open == 0 => (target.as_ref().clone(), Took::NoneOpen, inserted),
            _ => (change.to.clone(), Took::Primary, inserted),
        }
    }

    /// Counts an end or a rerun at the parent, which wakes, or rings, when no child is open.
    fn count_at_parent(&mut self, before: &Task, after: State, now: Timestamp) {
        let Some(mut parent) = self.parent_of(before).cloned() else {
            return;
        };
        let failed = |state: State| u32::from(state.is_unsuccessful());
        let children = &mut parent.children;
        match (before.state.is_final(), after.is_final()) {
            (false, true) => {
                children.open -= 1;
                children.failed += failed(after);
            }
            (true, false) => {
                children.open += 1;
                children.failed -= failed(before.state);
            }
            _ => return,
        }
        if let Some(joined) = join(&parent, now) {
            parent.state = joined.state;
            parent.run_at = joined.run_at;
            parent.alarm_at = joined.alarm_at;
            parent.updated_at = now;
        }
        self.change(parent.id, |detail| detail.task = parent);
    }
}

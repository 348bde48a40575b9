//! Edits (laws 6, 8): the guard, the pick among a change's targets, the write, and the news to the parent.

use retry_core::store::{Applied, Inserted, Took};
use retry_core::task::{Action, Change, Completion, Edit, State, Target, Task};
use retry_core::time::Timestamp;

use crate::draft::Draft;
use crate::effects::Effects;
use crate::error::Outcome;
use crate::insert::insert;
use crate::parents;
use crate::record::{Note, Row};
use crate::rows::{self, Found};
use crate::settle;

/// Applies the edits of one call, one after another.
pub(crate) struct Editor<'e, 'd> {
    pub(crate) draft: &'e mut Draft<'d>,
    pub(crate) now: Timestamp,
    pub(crate) effects: &'e mut Effects,
}

/// The target that was picked, and how the inserts ended.
struct Picked<'a> {
    target: &'a Target,
    took: Took,
    inserted: Vec<Inserted>,
}

impl Editor<'_, '_> {
    pub(crate) fn apply(&mut self, edit: &Edit) -> Outcome<Applied> {
        let row = match rows::load(self.draft, edit.id)? {
            Found::Missing => return Ok(Applied::Missing),
            // What cannot be read is not what the edit was decided on.
            Found::Bad(_) => return Ok(Applied::Stale),
            Found::Row(row) => row,
        };
        if row.nonce == edit.nonce.get() {
            return Ok(Applied::Repeated);
        }
        match &edit.action {
            Action::RequestCancel => self.request_cancel(&row),
            Action::StoreCompletion(completion) => self.store_completion(&row, completion),
            Action::Delete { from } => self.delete(&row, *from, edit),
            Action::Set(change) => self.set(*row, change, edit),
        }
    }

    fn request_cancel(&mut self, row: &Row) -> Outcome<Applied> {
        if row.task.state != State::Running {
            return Ok(Applied::Stale);
        }
        let mut flagged = row.clone();
        flagged.task.cancel_requested = true;
        rows::write(self.draft, Some(row), &flagged)?;
        Ok(Applied::DONE)
    }

    fn store_completion(&mut self, row: &Row, completion: &Completion) -> Outcome<Applied> {
        let task = &row.task;
        if !matches!(task.state, State::Pending | State::Running) || task.step != completion.step {
            return Ok(Applied::Stale);
        }
        let mut note = self.note(row)?;
        if note.early.is_some() {
            return Ok(Applied::Repeated);
        }
        note.early = Some(completion.clone());
        let mut noted = row.clone();
        rows::set_note(self.draft, &mut noted, &note)?;
        rows::write(self.draft, Some(row), &noted)?;
        Ok(Applied::DONE)
    }

    fn delete(&mut self, row: &Row, from: State, edit: &Edit) -> Outcome<Applied> {
        let task = &row.task;
        if task.version != edit.version || task.state != from || parents::is_awaited(self.draft, task.parent)?
        {
            return Ok(Applied::Stale);
        }
        rows::forget(self.draft, row)?;
        Ok(Applied::Done {
            inserted: self.insert_all(edit)?,
            took: Took::Primary,
        })
    }

    fn set(&mut self, mut row: Row, change: &Change, edit: &Edit) -> Outcome<Applied> {
        let before = row.task.clone();
        if before.version != edit.version || before.state != change.from {
            return Ok(Applied::Stale);
        }
        let is_rerun = before.state.is_final() && !change.to.state.is_final();
        if is_rerun && !self.may_rerun(&before)? {
            return Ok(Applied::Stale);
        }
        if let (false, true, Some((key, _))) = (before.holds_key, change.to.holds_key, &before.unique)
            && let Some(holder) = rows::key_holder(self.draft, &before.kind, key)?
        {
            return Ok(Applied::KeyTaken(holder));
        }
        let Picked {
            target,
            took,
            inserted,
        } = self.pick(&mut row, change, edit)?;
        let changed = settle::changed(self.draft, row, target, self.now, edit.nonce)?;
        self.effects.written(&changed.task, self.now);
        rows::write_over(self.draft, Some(&before), &changed)?;
        parents::child_changed(
            self.draft,
            before.parent,
            (before.state, changed.task.state),
            self.now,
            self.effects,
        )?;
        Ok(Applied::Done { inserted, took })
    }

    /// Makes the edit's inserts and picks the first target that fits.
    fn pick<'a>(&mut self, row: &mut Row, change: &'a Change, edit: &Edit) -> Outcome<Picked<'a>> {
        if let (true, Some(target)) = (row.task.cancel_requested, &change.if_cancelled) {
            return Ok(Picked {
                target,
                took: Took::Cancelled,
                inserted: Vec::new(),
            });
        }
        if row.task.holds_key && !change.to.holds_key && !edit.insert.is_empty() {
            rows::free_key(self.draft, Some(&row.task))?;
        }
        let inserted = self.insert_all(edit)?;
        for (new, answer) in edit.insert.iter().zip(&inserted) {
            if new.parent.is_some() && matches!(answer, Inserted::New { .. }) {
                row.task.children.total += 1;
                row.task.children.open += 1;
            }
        }
        let completed = match &change.if_completed {
            Some(target) if self.note(row)?.early.is_some() => Some(target),
            _ => None,
        };
        let (target, took) = match (completed, &change.if_none_open) {
            (Some(target), _) => (&**target, Took::Completed),
            (None, Some(target)) if row.task.children.open == 0 => (&**target, Took::NoneOpen),
            (None, _) => (&change.to, Took::Primary),
        };
        Ok(Picked {
            target,
            took,
            inserted,
        })
    }

    fn insert_all(&mut self, edit: &Edit) -> Outcome<Vec<Inserted>> {
        let inserts = edit.insert.iter();
        inserts
            .map(|new| insert(self.draft, new, Some(edit.id), self.now, self.effects))
            .collect()
    }

    /// A child runs again only while its parent waits for its children.
    fn may_rerun(&self, task: &Task) -> Outcome<bool> {
        let Some(parent) = task.parent else {
            return Ok(true);
        };
        let parent = rows::load_sound(self.draft, parent)?;
        Ok(parent.is_some_and(|parent| parent.task.state == State::Joining))
    }

    fn note(&self, row: &Row) -> Outcome<Note> {
        settle::note(self.draft, row)
    }
}

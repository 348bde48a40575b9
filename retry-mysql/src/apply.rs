//! Edits (laws 6, 8), decided in memory on locked rows: the guard, the pick among a change's targets, the write.

use retry_core::id::TaskId;
use retry_core::store::{Applied, Inserted, Took};
use retry_core::task::{Action, Change, Completion, Edit, Field, State, Target};

use crate::hot::Hot;
use crate::record::stored;
use crate::rows::Rows;

/// The target that was picked, and how the inserts ended.
struct Picked<'a> {
    target: &'a Target,
    took: Took,
    inserted: Vec<Inserted>,
}

impl Rows {
    /// Applies one edit.
    pub(crate) fn apply(&mut self, edit: &Edit) -> Applied {
        if !self.exists(edit.id) {
            return Applied::Missing;
        }
        // What cannot be read is not what the edit was decided on.
        let Some(hot) = self.hot(edit.id).cloned() else {
            return Applied::Stale;
        };
        if hot.last_nonce == stored(edit.nonce.get()) {
            return Applied::Repeated;
        }
        match &edit.action {
            Action::RequestCancel => self.request_cancel(hot),
            Action::StoreCompletion(completion) => self.store_completion(hot, completion),
            Action::Delete { from } => self.delete(&hot, *from, edit),
            Action::Set(change) => self.set(hot, change, edit),
        }
    }

    fn request_cancel(&mut self, mut hot: Hot) -> Applied {
        if hot.state != State::Running {
            return Applied::Stale;
        }
        hot.cancel_requested = true;
        self.put(hot);
        Applied::DONE
    }

    fn store_completion(&mut self, mut hot: Hot, completion: &Completion) -> Applied {
        if !matches!(hot.state, State::Pending | State::Running) || hot.step != completion.step {
            return Applied::Stale;
        }
        if hot.early {
            return Applied::Repeated;
        }
        (hot.early, hot.noted) = (true, true);
        let id = hot.id;
        self.put(hot);
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.note.set_early(Some(completion));
        }
        Applied::DONE
    }

    fn delete(&mut self, hot: &Hot, from: State, edit: &Edit) -> Applied {
        if hot.version != edit.version || hot.state != from || self.is_awaited(hot.parent) {
            return Applied::Stale;
        }
        self.remove(hot);
        let inserted = edit
            .insert
            .iter()
            .map(|new| self.insert(new, Some(edit.id)))
            .collect();
        Applied::Done {
            inserted,
            took: Took::Primary,
        }
    }

    fn remove(&mut self, hot: &Hot) {
        self.note_key(&Hot {
            holds_key: false,
            ..hot.clone()
        });
        if let Some(slot) = self.slots.get_mut(&hot.id) {
            let was = slot.was.take();
            *slot = crate::rows::Slot {
                was,
                dirty: true,
                ..Default::default()
            };
        }
    }

    fn set(&mut self, mut hot: Hot, change: &Change, edit: &Edit) -> Applied {
        if hot.version != edit.version || hot.state != change.from {
            return Applied::Stale;
        }
        let is_rerun = hot.state.is_final() && !change.to.state.is_final();
        if is_rerun && !self.may_rerun(hot.parent) {
            return Applied::Stale;
        }
        if let (false, true, Some(key)) = (hot.holds_key, change.to.holds_key, &hot.key)
            && let Some(holder) = self.holder(&hot.kind, key)
        {
            return Applied::KeyTaken(holder);
        }
        let Picked {
            target,
            took,
            inserted,
        } = self.pick(&mut hot, change, edit);
        let (before, parent) = (hot.state, hot.parent);
        self.write_target(hot, target, edit);
        self.child_changed(parent, before, target.state);
        Applied::Done { inserted, took }
    }

    /// Makes the edit's inserts and picks the first target that fits.
    fn pick<'a>(&mut self, hot: &mut Hot, change: &'a Change, edit: &Edit) -> Picked<'a> {
        if let (true, Some(target)) = (hot.cancel_requested, &change.if_cancelled) {
            return Picked {
                target,
                took: Took::Cancelled,
                inserted: Vec::new(),
            };
        }
        if !change.to.holds_key {
            self.note_key(&Hot {
                holds_key: false,
                ..hot.clone()
            });
        }
        let mut inserted = Vec::with_capacity(edit.insert.len());
        for new in &edit.insert {
            let answer = self.insert(new, Some(edit.id));
            if new.parent.is_some() && matches!(answer, Inserted::New { .. }) {
                hot.children.total += 1;
                hot.children.open += 1;
            }
            inserted.push(answer);
        }
        let (target, took) = match (&change.if_completed, &change.if_none_open) {
            (Some(target), _) if hot.early => (&**target, Took::Completed),
            (_, Some(target)) if hot.children.open == 0 => (&**target, Took::NoneOpen),
            _ => (&change.to, Took::Primary),
        };
        Picked {
            target,
            took,
            inserted,
        }
    }

    fn write_target(&mut self, mut hot: Hot, target: &Target, edit: &Edit) {
        let id = hot.id;
        hot.take(target, stored(edit.nonce.get()), self.now);
        let slot = self.slots.entry(id).or_default();
        if let Some(failure) = &target.failure {
            hot.failures = hot.failures.saturating_add(1);
            // Numbers, names and texts always serialize.
            slot.failures
                .push((hot.failures, serde_json::to_string(failure).unwrap_or_default()));
            slot.note.set_last_error(Some(failure.error.as_str().to_owned()));
        }
        if let Some(cold) = &target.cold {
            slot.note.take(cold);
            if cold.completion != retry_core::task::CompletionChange::Keep {
                hot.early = false;
            }
            cold.payload.iter().for_each(|payload| slot.set_payload(payload));
            cold.headers.iter().for_each(|headers| slot.set_headers(headers));
            let moved = cold.give_up_at != Field::Keep || cold.expires_at != Field::Keep;
            if let (true, Some(settings)) = (moved, &mut slot.settings) {
                cold.give_up_at.apply(&mut settings.give_up_at);
                cold.expires_at.apply(&mut settings.expires_at);
                slot.resettled = true;
            }
        }
        hot.noted = hot.noted || slot.note.is_needed(false);
        self.put(hot);
    }

    /// The state of a parent; none if it is not stored any more or cannot be read: then it waits for nothing.
    fn state_of(&self, parent: Option<TaskId>) -> Option<State> {
        self.hot(parent?).map(|parent| parent.state)
    }

    /// Whether a parent that has not ended still needs its child.
    fn is_awaited(&self, parent: Option<TaskId>) -> bool {
        self.state_of(parent).is_some_and(|state| !state.is_final())
    }

    /// A child runs again only while its parent waits for its children.
    fn may_rerun(&self, parent: Option<TaskId>) -> bool {
        parent.is_none() || self.state_of(parent) == Some(State::Joining)
    }
}

//! What the store's answer to an edit means here.

use super::outgoing::{Batch, Item, Role};
use super::part::Part;
use crate::store::{Applied, StoreError, Written};
use crate::task::{Action, Edit, State};

/// What is left of a batch that was answered.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// Edits that the store did not try.
    pub(super) not_tried: Batch,
    /// Something may be due that was not before.
    pub(super) may_be_due: bool,
}

/// Takes the answers to a batch to where they belong.
pub(super) fn all(part: &Part, batch: Batch, answers: Vec<Applied>) -> Answered {
    let mut answered = Answered::default();
    for (Item { edit, role }, answer) in batch.into_items().zip(answers) {
        if answer == Applied::NotTried {
            answered.not_tried.push(edit, role);
            continue;
        }
        answered.may_be_due |= makes_due(&edit, &role);
        applied(part, &edit, role, &answer);
    }
    answered
}

/// Lets go of the task that was settled, or tells the attempt that waits.
fn applied(part: &Part, edit: &Edit, role: Role, applied: &Applied) {
    let written = Written::of(&edit.action, applied);
    match role {
        Role::Progress(on_answer) => on_answer(Ok(applied)),
        Role::Settle {
            hold,
            task,
            told,
            teller,
            ..
        } => {
            part.held.remove(hold);
            if let Some(written) = written {
                part.engine.round.recorded(written);
                part.engine.setup.meters.settled(&task, written);
                part.tell(told, written);
            }
            if let Some(teller) = teller {
                teller.tell(edit, applied);
            }
        }
    }
    trace(edit, written, applied);
}

/// An edit that the store refuses for good, and for which nothing else stands in.
pub(super) fn refused(part: &Part, edit: &Edit, role: Role, error: &StoreError) {
    match role {
        Role::Progress(on_answer) => {
            tracing::warn!(task = %edit.id, %error, "the store refuses what goes with a task's progress");
            on_answer(Err(error));
        }
        Role::Settle { .. } => applied(part, edit, role, &Applied::Stale),
    }
}

/// Whether something may be due behind this edit that was not before: the task itself, what it inserts, or its parent.
/// The store's hint of it may be lost, or come late.
fn makes_due(edit: &Edit, role: &Role) -> bool {
    let Role::Settle { task, .. } = role else {
        // A chunk of a split.
        return !edit.insert.is_empty();
    };
    let ends = match &edit.action {
        Action::Set(change) => change.to.state.is_final(),
        Action::Delete { .. } => true,
        Action::RequestCancel | Action::StoreCompletion(_) => false,
    };
    !ends || task.parent.is_some() || !edit.insert.is_empty()
}

fn trace(edit: &Edit, written: Option<Written<'_>>, applied: &Applied) {
    let id = edit.id;
    match (written, applied) {
        (Some(_), Applied::Repeated) => tracing::debug!(task = %id, "recorded before"),
        (Some(Written::Forgotten), Applied::Missing) => tracing::debug!(task = %id, "forgotten before"),
        (Some(Written::Forgotten), _) => tracing::debug!(task = %id, "succeeded and forgotten"),
        (Some(written), _) if written.state() == State::Cancelled => tracing::info!(task = %id, "cancelled"),
        (Some(written), _) => tracing::debug!(task = %id, state = %written.state(), "recorded"),
        // Somebody else has the task: it was rescued, or an operator changed it.
        (None, other) => {
            tracing::warn!(task = %id, answer = ?other, "not recorded: the task is not ours any more")
        }
    }
}

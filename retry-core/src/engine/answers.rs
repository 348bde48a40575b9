//! What the store's answer to an edit means here.

use super::outbox::Role;
use super::part::Part;
use crate::alert::Alert;
use crate::clock::Clock as _;
use crate::id::TaskId;
use crate::store::{Applied, Took};
use crate::task::{Action, Edit, Task};

/// Lets go of the task that was settled, or tells the attempt that waits.
pub(super) fn applied(part: &Part, edit: &Edit, role: Role, applied: &Applied) {
    let id = edit.id;
    match role {
        Role::Progress(on_applied) => on_applied(applied),
        Role::Settle {
            hold,
            task,
            alert,
            teller,
            ..
        } => {
            part.engine.round.recorded(&edit.action, applied);
            part.held.remove(hold);
            recorded(part, edit, &task, alert, applied);
            if let Some(teller) = teller {
                teller.tell(edit, applied);
            }
        }
    }
    match applied {
        Applied::Done {
            took: Took::Cancelled,
            ..
        } => tracing::info!(task = %id, "cancelled"),
        Applied::Done { .. } => trace_settled(&edit.action, id),
        Applied::Repeated => tracing::debug!(task = %id, "recorded before"),
        Applied::Missing if matches!(edit.action, Action::Delete { .. }) => {
            tracing::debug!(task = %id, "forgotten before");
        }
        // Somebody else has the task: it was rescued, or an operator changed it.
        other => {
            tracing::warn!(task = %id, answer = ?other, "not recorded: the task is not ours any more")
        }
    }
}

/// Tells what was recorded to whoever listens.
fn recorded(part: &Part, edit: &Edit, task: &Task, alert: Option<Box<Alert>>, applied: &Applied) {
    let engine = &part.engine;
    let took = match applied {
        Applied::Done { took, .. } => *took,
        Applied::Repeated => Took::Primary,
        Applied::Missing if matches!(edit.action, Action::Delete { .. }) => Took::Primary,
        _ => return,
    };
    engine.setup.meters.settled(task, &edit.action, took);
    // What an operator cancelled has not failed.
    if let Some(alert) = alert
        && took == Took::Primary
    {
        engine.alerts.raise(*alert, part.clock.monotonic());
    }
}

/// Whether something may be due behind this edit that was not before: the task itself, what it inserts, or its parent.
/// The store's hint of it may be lost, or come late.
pub(super) fn makes_due(edit: &Edit, role: &Role) -> bool {
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

fn trace_settled(action: &Action, id: TaskId) {
    match action {
        Action::Set(change) => tracing::debug!(task = %id, state = %change.to.state, "recorded"),
        Action::Delete { .. } => tracing::debug!(task = %id, "succeeded and forgotten"),
        Action::RequestCancel | Action::StoreCompletion(_) => {}
    }
}

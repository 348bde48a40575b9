//! Calls and answers in short, for trails that a person reads.

use std::fmt::Write as _;

use retry_core::store::{Applied, ClaimRequest, Claimed, Exchanged, Inserted, Took};
use retry_core::task::{Action, Edit, NewTask, Task};

/// A call's tasks, edits and claims in one line.
pub(crate) fn insert(tasks: &[NewTask]) -> String {
    let tasks: Vec<String> = tasks.iter().map(new_task).collect();
    format!("insert [{}]", tasks.join(", "))
}

fn new_task(new: &NewTask) -> String {
    let mut text = format!("{} {}/{} {:?}", new.id, new.queue, new.kind, new.priority);
    let _ = write!(text, " due {}", new.run_at);
    if let Some(unique) = &new.unique {
        let _ = write!(
            text,
            " key {:?} {:?} {:?}",
            unique.key, unique.scope, unique.on_duplicate
        );
    }
    if let Some(parent) = new.parent {
        let _ = write!(text, " child of {parent}");
    }
    if let Some(session) = new.leased_by {
        let _ = write!(text, " leased by {session}");
    }
    text
}

/// An exchange in one line.
pub(crate) fn exchange(edits: &[Edit], claims: &[ClaimRequest]) -> String {
    let edits: Vec<String> = edits.iter().map(edit).collect();
    let claims: Vec<String> = claims.iter().map(claim).collect();
    format!("exchange [{}] [{}]", edits.join(", "), claims.join(", "))
}

fn edit(edit: &Edit) -> String {
    let action = match &edit.action {
        Action::Set(change) => {
            let mut text = format!("{} → {}", change.from, change.to.state);
            for (name, target) in [
                ("if cancelled", &change.if_cancelled),
                ("if completed", &change.if_completed),
                ("if none open", &change.if_none_open),
            ] {
                if let Some(target) = target {
                    let _ = write!(text, ", {name} → {}", target.state);
                }
            }
            text
        }
        Action::RequestCancel => "request cancel".to_owned(),
        Action::StoreCompletion(completion) => format!("store completion of step {}", completion.step),
        Action::Delete { from } => format!("delete {from}"),
    };
    let mut text = format!("{} v{}: {action}", edit.id, edit.version);
    if !edit.insert.is_empty() {
        let _ = write!(text, " + {}", insert(&edit.insert));
    }
    text
}

fn claim(claim: &ClaimRequest) -> String {
    let mut text = format!(
        "claim {} of {:?} by {} from {}",
        claim.limit, claim.kinds, claim.session, claim.queue
    );
    if claim.max_suspects != claim.limit {
        let _ = write!(text, ", suspects ≤ {}", claim.max_suspects);
    }
    if let Some(ids) = &claim.ids {
        let _ = write!(text, ", ids {ids:?}");
    }
    if claim.not_before.is_some() || claim.not_after.is_some() {
        let _ = write!(text, ", from {:?} to {:?}", claim.not_before, claim.not_after);
    }
    if !claim.after.is_empty() {
        let _ = write!(text, ", behind {:?}", claim.after);
    }
    text
}

/// The answers to an insert in one line.
pub(crate) fn inserted(answers: &[Inserted]) -> String {
    format!("{answers:?}")
}

/// The answers to an exchange in one line.
pub(crate) fn exchanged(answer: &Exchanged) -> String {
    let applied: Vec<String> = answer.applied.iter().map(applied).collect();
    let claimed: Vec<String> = answer.claimed.iter().map(claimed).collect();
    format!("[{}] [{}]", applied.join(", "), claimed.join(", "))
}

fn applied(applied: &Applied) -> String {
    match applied {
        Applied::Done { inserted, took } if inserted.is_empty() && *took == Took::Primary => {
            "Done".to_owned()
        }
        Applied::Done { inserted, took } => format!("Done {took:?} {inserted:?}"),
        other => format!("{other:?}"),
    }
}

fn claimed(claimed: &Claimed) -> String {
    let tasks: Vec<String> = claimed.tasks.iter().map(|claimed| task(&claimed.task)).collect();
    let mut text = format!("[{}]", tasks.join(", "));
    if claimed.session_lost {
        text.push_str(" session lost");
    }
    if let Some(next) = claimed.next_due {
        let _ = write!(text, " next due {next}");
    }
    if !claimed.bad.is_empty() {
        let _ = write!(text, " bad {:?}", claimed.bad);
    }
    text
}

/// A record in short.
pub(crate) fn task(task: &Task) -> String {
    let mut text = format!(
        "{} {} v{} attempt {}",
        task.id, task.state, task.version, task.attempt
    );
    if task.step > 0 {
        let _ = write!(text, " step {}", task.step);
    }
    if task.crashes > 0 {
        let _ = write!(text, " crashes {}", task.crashes);
    }
    if task.cancel_requested {
        text.push_str(" cancel requested");
    }
    if task.children.total > 0 {
        let children = task.children;
        let _ = write!(
            text,
            " children {}/{} open, {} failed",
            children.open, children.total, children.failed
        );
    }
    text
}

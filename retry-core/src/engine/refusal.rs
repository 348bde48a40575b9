//! An outcome that the store refuses for good: the task fails in its place, once.

use super::alerts::Judge;
use super::outgoing::{Batch, Role};
use super::part::Part;
use super::{answers, settle};
use crate::clock::Clock as _;
use crate::machine::Event;
use crate::store::StoreError;
use crate::task::{Edit, ErrorText};

/// What is to be sent in place of a single edit that was refused for good: the task's failure, or nothing any more.
pub(super) fn refused(part: &Part, mut sent: Batch, error: &StoreError) -> Batch {
    let failures = sent.roles.iter_mut().map(|role| failure(part, role, error));
    let failures: Vec<Option<Edit>> = failures.collect();
    let mut again = Batch::default();
    for (item, failure) in sent.into_items().zip(failures) {
        match failure {
            Some(failure) => again.push(failure, item.role),
            None => answers::refused(part, &item.edit, item.role, error),
        }
    }
    again
}

/// The task's failure in place of its outcome, once; none when that is what was refused.
fn failure(part: &Part, role: &mut Role, error: &StoreError) -> Option<Edit> {
    let Role::Settle {
        task, told, replaced, ..
    } = role
    else {
        return None;
    };
    if std::mem::replace(replaced, true) {
        return None;
    }
    let error = ErrorText::new(format!("its outcome cannot be stored: {error}"));
    let failure = settle::failed_attempt(part, task, task.updated_at, error);
    let edit = part.edit(task, Event::Fail { failure }).ok()?;
    let now = part.clock.now();
    *told = part
        .engine
        .alerts
        .of_action(task, &edit.action, Judge::Rules, now);
    Some(edit)
}

//! A parent with failed children goes on as its policy says, also when they ended before its split did.

use retry_core::store::Took;
use retry_core::task::{FailedChildren, State};

use crate::sim::fact::{By, Fact, How, Row, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Changed {
        by,
        before: Some(before),
        after: Some(after),
    } = fact
    else {
        return Ok(());
    };
    let task = &after.task;
    let asks = task.settings.on_failed_children != FailedChildren::Reduce;
    let goes_on = task.state == State::Pending && splits_or_waits(by, before, task.step, facts);
    // What an earlier life left counts no more, and the record does not tell it apart.
    if !asks || !goes_on || task.children.failed == 0 || task.reruns > 0 {
        return Ok(());
    }
    Err(format!(
        "{} goes on with {} failed children, though its policy is {:?}",
        name(task.id),
        task.children.failed,
        task.settings.on_failed_children
    ))
}

/// Whether it goes on behind a split, or behind its children, and no operator released it.
fn splits_or_waits(by: &By<'_>, before: &Row, step: u32, facts: &Facts) -> bool {
    let splits = || {
        let claim = before.claim.map_or(0, |claim| claim.version);
        let mut runs = facts.runs_under(before.task.id, claim);
        runs.any(|run| run.ended == Some(How::Splits))
    };
    match (before.task.state, by) {
        (State::Running, By::Edit { .. }) => step > before.task.step && splits(),
        (State::Joining, By::Effect) => true,
        // A rescuer's edit sees whether a child is open; a release does not ask.
        (State::Joining, By::Edit { took, .. }) => *took == Took::NoneOpen,
        _ => false,
    }
}

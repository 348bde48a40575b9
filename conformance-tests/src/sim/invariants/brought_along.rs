//! The tasks that an outcome brings are written with it: follow-ups and children.

use retry_core::store::Took;
use retry_core::task::State;

use crate::sim::fact::{By, Fact, How, name};
use crate::sim::facts::Facts;
use crate::sim::script::End;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Changed {
        by: By::Edit {
            edit,
            took: Took::Primary,
            ..
        },
        before: Some(before),
        after,
    } = fact
    else {
        return Ok(());
    };
    let leaves = before.is(State::Running) && after.is_none_or(|after| !after.is(State::Running));
    let task = &before.task;
    let (Some(claim), true) = (before.claim, leaves && facts.is_fenced(task.id)) else {
        return Ok(());
    };
    let runs = facts.deciding_runs(task.id, &claim);
    let [run] = runs.as_slice() else { return Ok(()) };
    let script = before.script.and_then(|number| facts.config.scripts.get(number));
    let Some(step) = script.and_then(|script| script.step(task.step)) else {
        return Ok(());
    };
    let due = match (&step.end, run.ended) {
        // A try of which its worker learns late that it was stored, and is to be cancelled.
        _ if after.is_some_and(|after| after.is(State::Cancelled)) => 0,
        (End::FollowUp(_), Some(How::Succeeded)) => 1,
        (End::Split { children, chunk }, Some(How::Splits)) => match (children.len(), *chunk) {
            (all @ 1.., Some(chunk)) => (all - 1) % chunk + 1,
            (all, _) => all,
        },
        _ => return Ok(()),
    };
    // A try of which the worker does not learn that it was stored is given back.
    if run.tried && after.is_some_and(|after| after.task.attempt < task.attempt) {
        return Ok(());
    }
    // What took the task from its worker records another outcome.
    if !super::settle_after_end::is_rescue(edit, before, facts) && edit.insert.len() != due {
        return Err(format!(
            "the outcome of {} brings {} tasks instead of {due}",
            name(task.id),
            edit.insert.len()
        ));
    }
    Ok(())
}

//! A worker records an outcome after its handler has ended; before, only a rescuer takes the task.

use retry_core::task::{Action, Edit, State};

use crate::sim::fact::{By, Fact, Row, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Changed {
        by: By::Edit { who, edit, .. },
        before: Some(before),
        after,
    } = fact
    else {
        return Ok(());
    };
    let leaves = before.is(State::Running) && after.is_none_or(|after| !after.is(State::Running));
    if !leaves || is_rescue(edit, before, facts) || !facts.is_fenced(before.task.id) {
        return Ok(());
    }
    let Some(claim) = before.claim else { return Ok(()) };
    let runs = facts.runs_under(before.task.id, claim.version);
    match runs
        .filter(|run| facts.lives(run.who))
        .find(|run| run.ended.is_none())
    {
        Some(run) => Err(format!(
            "host {} recorded {} version {} while host {} still ran it",
            who.host,
            name(run.id),
            run.version,
            run.who.host
        )),
        None => Ok(()),
    }
}

/// Whether an edit of a running task is a rescuer's.
pub(super) fn is_rescue(edit: &Edit, before: &Row, facts: &Facts) -> bool {
    let Action::Set(change) = &edit.action else {
        return false;
    };
    if let Some(failure) = &change.to.failure {
        // A worker signs the failures of its own attempts.
        return failure.worker.is_none();
    }
    let lost = before
        .task
        .session
        .is_none_or(|session| !facts.is_live_session(session));
    let alarm = before
        .task
        .alarm_at
        .is_some_and(|at| at.as_millis() <= facts.store_now[before.part] + facts.ahead_ms);
    change.to.state == State::Cancelled && (lost || alarm)
}

//! What a worker's program told it to run, once it was born, the undisturbed worker runs and does not give back first.

use retry_core::task::State;

use crate::sim::fact::{By, Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Changed {
        by: By::Edit { who, .. },
        before: Some(before),
        after: Some(after),
    } = fact
    else {
        return Ok(());
    };
    let (was, is) = (&before.task, &after.task);
    let given_back = was.state == State::Running && was.version == 1 && is.state == State::Pending;
    if !given_back || is.attempt >= was.attempt || !facts.told_to_run.contains(&was.id) {
        return Ok(());
    }
    let host = &facts.hosts[who.host];
    let undisturbed = facts.lives(*who) && host.failures == 0 && !host.stopping && !host.paused_once;
    let lost = was.session.is_none_or(|session| !facts.is_live_session(session));
    let runs = facts.runs_under(was.id, was.version).next().is_some();
    if runs || lost || !undisturbed || facts.steps > 0 || facts.cut_at.is_some() {
        return Ok(());
    }
    Err(format!(
        "host {} gave {} back, which it was told to run",
        who.host,
        name(was.id)
    ))
}

//! While a handler runs under a current lease, nobody else receives its task.

use crate::sim::fact::{By, Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Changed {
        by: By::Claim,
        before: Some(before),
        after: Some(after),
    } = fact
    else {
        return Ok(());
    };
    if !facts.is_fenced(after.task.id) {
        return Ok(());
    }
    for run in facts
        .active_runs()
        .filter(|run| run.id == after.task.id && facts.lives(run.who))
    {
        let lost = before.task.crashes > 0;
        let session = before
            .claim
            .filter(|claim| claim.version == run.version)
            .map(|claim| claim.session);
        let ended = session.is_none_or(|session| !facts.is_live_session(session));
        let had_deadline = after.task.settings.deadline_after.is_some();
        if !lost && !ended && !had_deadline {
            return Err(format!(
                "{} is claimed while host {} runs it under a live lease",
                name(run.id),
                run.who.host
            ));
        }
    }
    Ok(())
}

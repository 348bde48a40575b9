//! Progress is refused only when the lease is gone.

use retry_core::task::State;

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Checkpointed {
        who,
        id,
        stored: false,
        ..
    } = fact
    else {
        return Ok(());
    };
    let mut runs = facts.active_runs();
    let (Some(run), true) = (
        runs.find(|run| run.id == *id && run.who == *who),
        facts.is_fenced(*id),
    ) else {
        return Ok(());
    };
    let Some(row) = facts.rows.get(id).filter(|row| row.is(State::Running)) else {
        return Ok(());
    };
    let (host, claim) = (&facts.hosts[run.who.host], row.claim);
    let known = &host.parts[run.part];
    let ours =
        claim.is_some_and(|claim| claim.version == run.version && known.session == Some(claim.session));
    let current =
        known.session == run.session && facts.now < known.lease_end && facts.is_live_session_of(run);
    if ours && current && !host.stopping && !host.paused_once && run.cancelled_at.is_none() {
        return Err(format!(
            "{} was told that its lease is gone, and host {} holds it",
            name(*id),
            run.who.host
        ));
    }
    Ok(())
}

//! The first beat that is sent after a cancel was requested delivers it to the handler.

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Quiet = fact else { return Ok(()) };
    for run in facts
        .active_runs()
        .filter(|run| facts.lives(run.who) && !run.ctx.is_cancelled())
    {
        let host = &facts.hosts[run.who.host];
        let known = &host.parts[run.part];
        let Some(row) = facts.rows.get(&run.id).filter(|row| row.task.cancel_requested) else {
            continue;
        };
        let held = row
            .claim
            .is_some_and(|claim| claim.version == run.version && known.session == Some(claim.session));
        let beaten = known
            .renewed
            .zip(row.flagged_at)
            .is_some_and(|(sent, flagged)| sent > flagged && sent > run.started_at);
        let running = row.is(retry_core::task::State::Running);
        if held && beaten && running && !host.paused {
            return Err(format!(
                "host {} had a beat and does not know that {} is to be cancelled",
                run.who.host,
                name(run.id)
            ));
        }
    }
    Ok(())
}

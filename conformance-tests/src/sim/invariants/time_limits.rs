//! A handler is told when its time-out is over, and its future is dropped when the grace after a cancel is.

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;
use crate::sim::script::KindOf;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Quiet = fact else { return Ok(()) };
    let fleet = &facts.config.fleet;
    for run in facts.active_runs().filter(|run| facts.lives(run.who)) {
        if facts.hosts[run.who.host].paused {
            continue;
        }
        let for_ms = |since| facts.now.saturating_since(since).as_millis();
        if run.kind == KindOf::Timed
            && for_ms(run.started_at) > u128::from(fleet.timeout_ms)
            && !run.ctx.is_cancelled()
        {
            return Err(format!(
                "{} runs beyond its time-out and was not told",
                name(run.id)
            ));
        }
        let over = |told| for_ms(told) > u128::from(fleet.cancel_grace_ms);
        if run.cancelled_at.is_some_and(over) {
            return Err(format!(
                "{} goes on beyond the grace after its cancel",
                name(run.id)
            ));
        }
    }
    Ok(())
}

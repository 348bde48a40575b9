//! When a worker's lease ends on its own count, its handlers have been told, whatever the store does meanwhile.

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;
use crate::sim::script::KindOf;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Quiet = fact else { return Ok(()) };
    for run in facts.active_runs() {
        let host = &facts.hosts[run.who.host];
        let known = &host.parts[run.part];
        // The end of the lease is nothing to a task that is not stored.
        if run.tried
            || run.kind == KindOf::Stays
            || host.paused
            || !facts.lives(run.who)
            || run.ctx.is_cancelled()
        {
            continue;
        }
        let other = known.session.is_none() || known.session != run.session;
        if other || facts.now >= known.lease_end {
            let late = facts.now.saturating_since(known.lease_end);
            let why = if other {
                "its session is lost"
            } else {
                "its lease has ended"
            };
            return Err(format!(
                "host {} goes on with {} though {why}, {late:?} ago",
                run.who.host,
                name(run.id)
            ));
        }
    }
    Ok(())
}

//! A worker calls the store a few times a second, and beyond that only for a reason.

use crate::sim::fact::Fact;
use crate::sim::facts::Facts;

/// Beats, polls, rescues, purges and clock readings of one second, and retries after failures.
const IDLE: u64 = 60;
/// Calls that one change, start, end or wake-up may cause at each worker.
const EACH: u64 = 6;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Sent { who, .. } = fact else {
        return Ok(());
    };
    if who.host >= facts.config.fleet.workers {
        return Ok(());
    }
    let host = &facts.hosts[who.host];
    let ((calls, _), (_, work)) = (host.calls.counts(facts.now), host.work.counts(facts.now));
    if calls > IDLE * facts.config.parts as u64 + EACH * work {
        return Err(format!(
            "host {} made {calls} calls in one second for {work} reasons",
            who.host
        ));
    }
    Ok(())
}

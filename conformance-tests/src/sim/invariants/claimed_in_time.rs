//! An idle worker that the store always answered claims what is due within its idle poll, whatever becomes of the hints.

use std::time::Duration;

use retry_core::task::State;

use crate::sim::fact::{Fact, name};
use crate::sim::facts::{Facts, HostFact};
use crate::sim::features::Feature;

/// The idle poll, and as much again.
const POLLS: Duration = Duration::from_secs(2);
/// Calls that may lie between: the one under way, a reading of the clock, a new session, the claim.
const CALLS: u32 = 6;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let config = &facts.config;
    // A call that hangs is no failure before it ends, and a paused queue gives nothing.
    let plain = config.rates.hang == 0 && !config.features.has(Feature::PauseQueue);
    let told = facts.steps == 0 && facts.cut_at.is_none();
    if !matches!(fact, Fact::Quiet) || !plain || !told {
        return Ok(());
    }
    let bound = POLLS + Duration::from_millis(config.rates.latency_ms) * CALLS;
    let Some(idle) = (0..config.fleet.workers).find(|host| is_idle(*host, bound, facts)) else {
        return Ok(());
    };
    let millis = i64::try_from(bound.as_millis()).unwrap_or(i64::MAX);
    let left = facts.rows.values().find(|row| {
        let changed = facts.changed_at.get(&row.task.id).copied().unwrap_or_default();
        // Suspects wait for each other.
        row.is(State::Pending)
            && !row.task.is_suspect()
            && row.task.run_at.as_millis().saturating_add(millis) < facts.store_now[row.part]
            && facts.now.saturating_since(changed) > bound
    });
    match left {
        Some(row) => Err(format!(
            "{} is due for more than {bound:?} and host {idle} idles",
            name(row.task.id)
        )),
        None => Ok(()),
    }
}

/// Whether a host has been up, undisturbed and without work for this long.
fn is_idle(host: usize, span: Duration, facts: &Facts) -> bool {
    let undisturbed = |host: &HostFact| host.up && !host.stopping && !host.paused_once && host.failures == 0;
    let known = &facts.hosts[host];
    // An open transaction of its program keeps a permit for each of its tasks.
    undisturbed(known)
        && known.programs == 0
        && facts.now.saturating_since(known.started_at.max(known.busy_at)) > span
        && facts.active_runs().all(|run| run.who.host != host)
}

//! No more attempts run at once than allowed: in all, per queue and per kind.

use crate::sim::fact::Fact;
use crate::sim::facts::Facts;
use crate::sim::features::Feature;
use crate::sim::script::{KindOf, QUEUES};

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Started { run } = fact else {
        return Ok(());
    };
    let fleet = &facts.config.fleet;
    let here = || facts.active_runs().filter(|other| other.who == run.who);
    let limited = facts.config.features.has(Feature::Limits);
    let running = 1 + here().count();
    if running > fleet.concurrency {
        return Err(format!(
            "host {} runs {running} attempts of {}",
            run.who.host, fleet.concurrency
        ));
    }
    let of_kind = 1 + here().filter(|other| other.kind == KindOf::Few).count();
    if limited && run.kind == KindOf::Few && of_kind > fleet.few {
        return Err(format!(
            "host {} runs {of_kind} of the kind `few` of {}",
            run.who.host, fleet.few
        ));
    }
    let in_queue = 1 + here().filter(|other| other.queue == QUEUES[1]).count();
    if limited && run.queue == QUEUES[1] && in_queue > fleet.queue_limit {
        return Err(format!(
            "host {} runs {in_queue} of its queue of {}",
            run.who.host, fleet.queue_limit
        ));
    }
    Ok(())
}

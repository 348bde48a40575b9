//! Leases are judged by a fresh reading of the store's clock, and not at all for a while after it stepped: the others must
//! see the step as well, and renew.

use std::time::Duration;

use retry_core::clock::SyncedClock;

use crate::sim::fact::Fact;
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Sent {
        who,
        part,
        mark: true,
        ..
    } = fact
    else {
        return Ok(());
    };
    let known = &facts.hosts[who.host].parts[*part];
    let age = known
        .clock_read
        .map_or(Duration::MAX, |read| facts.now.saturating_since(read));
    if age > facts.lease() / 3 {
        return Err(format!(
            "host {} marks sessions by a clock it read {age:?} ago",
            who.host
        ));
    }
    let pause = SyncedClock::INTERVAL + facts.lease();
    if known.saw_far_step.is_some_and(|saw| facts.now < saw + pause) {
        return Err(format!(
            "host {} saw the store's clock step and marks sessions within {pause:?}",
            who.host
        ));
    }
    Ok(())
}

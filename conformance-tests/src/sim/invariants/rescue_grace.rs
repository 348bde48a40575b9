//! Sessions are marked lost only by a worker that the store has answered for three seconds, counted anew after its
//! start and after every failure: after an outage every lease looks ended.

use std::time::Duration;

use crate::sim::fact::Fact;
use crate::sim::facts::Facts;

const GRACE: Duration = Duration::from_secs(3);

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
    let host = &facts.hosts[who.host];
    let since = host.parts[*part]
        .last_failed
        .map_or(host.started_at, |failed| failed.max(host.started_at));
    let good = facts.now.saturating_since(since);
    if good < GRACE {
        return Err(format!(
            "host {} marks sessions {good:?} after its start or a failed call",
            who.host
        ));
    }
    Ok(())
}

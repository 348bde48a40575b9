//! A worker claims only while its lease is current on its own count.

use crate::sim::fact::Fact;
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Sent {
        who,
        part,
        claims: [claim, ..],
        ..
    } = fact
    else {
        return Ok(());
    };
    let host = &facts.hosts[who.host];
    let known = &host.parts[*part];
    if known.session != Some(claim.session) {
        return Err(format!(
            "host {} claims for a session that it knows to be lost",
            who.host
        ));
    }
    if facts.now >= known.lease_end {
        return Err(format!("host {} claims after its lease has ended", who.host));
    }
    if host.stopping {
        return Err(format!("host {} claims while it shuts down", who.host));
    }
    Ok(())
}

//! A session is marked lost when its lease is over, as its own worker counts it, up to the error of reading the store's
//! clock: two readings, each uncertain by half of a third of the lease.

use crate::sim::fact::Fact;
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Marked { by, session } = fact else {
        return Ok(());
    };
    let Some(marked) = facts.sessions.get(session) else {
        return Ok(());
    };
    let known = &facts.hosts[marked.who.host].parts[marked.part];
    // Its last renewal may be among what a power cut took.
    let lost = facts
        .cut_at
        .is_some_and(|cut| known.lease_end <= cut + facts.lease());
    // A step of the store's clock suspends the rescue, and whoever sees it renews by the new time. Several small ones in a
    // row are seen by each in its turn, and one between a rescuer's reading and its mark is seen by the other alone. A renewal
    // of the moment in which the step was seen may have been sent just before.
    let renewed_since = |saw| known.lease_end > saw + facts.lease();
    let read = facts.hosts[by.host].parts[marked.part].clock_read;
    let seen = known.saw_step.is_some_and(renewed_since) && read.is_some_and(|read| read >= facts.stepped_at);
    let stepped = facts.steps > 1 || facts.steps == 1 && !seen;
    let left = known.lease_end.saturating_since(facts.now);
    let host = &facts.hosts[marked.who.host];
    let blameless = host.failures == 0 && !host.paused_once && !host.stopping && facts.steps == 0;
    if blameless && facts.cut_at.is_none() && facts.lives(marked.who) && known.session == Some(*session) {
        return Err(format!(
            "host {} loses session {session} though the store always answered it",
            marked.who.host
        ));
    }
    if !lost
        && !stepped
        && facts.lives(marked.who)
        && known.session == Some(*session)
        && left > facts.lease() / 3
    {
        return Err(format!(
            "session {session} of host {} is marked lost, and its lease has {left:?} left",
            marked.who.host
        ));
    }
    Ok(())
}

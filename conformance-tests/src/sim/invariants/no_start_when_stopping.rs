//! Nothing starts after a shutdown began.

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Started { run } = fact else {
        return Ok(());
    };
    // A fallback belongs to the attempt that runs already, and so does a run that repeats another.
    if facts.hosts[run.who.host].stopping && !run.fallback && run.again == 0 {
        return Err(format!(
            "host {} starts {} while it shuts down",
            run.who.host,
            name(run.id)
        ));
    }
    Ok(())
}

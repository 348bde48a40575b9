//! A task whose cancel was requested does not run again.

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Started { run } = fact else {
        return Ok(());
    };
    let claim = facts.rows.get(&run.id).and_then(|row| row.claim);
    if claim.is_some_and(|claim| claim.version == run.version && claim.flagged) {
        return Err(format!(
            "{} runs though its cancel was requested before it was claimed",
            name(run.id)
        ));
    }
    Ok(())
}

//! Nothing is claimed before it is due, but for what a worker's reading of the store's clock may be ahead.

use crate::sim::fact::{By, Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Changed {
        by: By::Claim,
        before: Some(before),
        ..
    } = fact
    else {
        return Ok(());
    };
    let early = before.task.run_at.as_millis() - facts.store_now[before.part];
    if early > facts.ahead_ms {
        return Err(format!(
            "{} is claimed {early} ms before it is due",
            name(before.task.id)
        ));
    }
    Ok(())
}

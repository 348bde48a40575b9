//! A task whose start deadline has passed is not started any more.

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Started { run } = fact else {
        return Ok(());
    };
    // A worker that has not seen a step of the store's clock goes by the old time.
    let Some(row) = facts.rows.get(&run.id).filter(|_| facts.steps == 0) else {
        return Ok(());
    };
    let claimed = row.claim.is_some_and(|claim| claim.version == run.version);
    let now = facts.store_now[row.part];
    let behind = facts.ahead_ms + i64::try_from(facts.lease().as_millis() / 6).unwrap_or(0);
    let over = |at: retry_core::time::Timestamp| at.as_millis() + behind < now;
    if claimed && !run.fallback && run.again == 0 && row.task.start_deadline().is_some_and(over) {
        return Err(format!("{} starts after its start deadline", name(run.id)));
    }
    Ok(())
}

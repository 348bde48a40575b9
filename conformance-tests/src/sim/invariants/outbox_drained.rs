//! In fair weather everything that was committed in the outbox is handed over, and nothing is left there.

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Drained = fact else { return Ok(()) };
    let mut rows = facts.outbox.iter();
    match rows.find(|(_, row)| row.committed.is_some() && !row.handed_over) {
        Some((id, _)) => Err(format!(
            "{} was committed in the outbox and never handed over",
            name(*id)
        )),
        None => Ok(()),
    }
}

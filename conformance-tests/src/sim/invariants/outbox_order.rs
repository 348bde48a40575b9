//! A row that was written when another was committed is handed over behind it.

use crate::sim::fact::{Fact, RowStep, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Outbox {
        id,
        step: RowStep::HandedOver(_),
    } = fact
    else {
        return Ok(());
    };
    let Some(row) = facts.outbox.get(id) else {
        return Ok(());
    };
    let before = |at: Option<u64>| at.is_some_and(|at| at < row.written);
    let mut others = facts.outbox.iter();
    match others.find(|(_, other)| before(other.committed) && !other.handed_over) {
        Some((other, _)) => Err(format!(
            "{} is handed over, and {}, which was committed before it was written, is not",
            name(*id),
            name(*other)
        )),
        None => Ok(()),
    }
}

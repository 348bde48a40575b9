//! A parent's counters are those of its children, under any interleaving.

use crate::sim::fact::{By, Fact, Row, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Changed {
        by: By::Effect | By::Edit { .. },
        after: Some(after),
        ..
    } = fact
    else {
        return Ok(());
    };
    let counted = after.task.children;
    if counted.total == 0 {
        return Ok(());
    }
    let id = after.task.id;
    let children: Vec<&Row> = facts
        .rows
        .values()
        .filter(|row| row.task.parent == Some(id))
        .collect();
    let count = |counts: fn(&Row) -> bool| children.iter().filter(|row| counts(row)).count();
    let open = count(|row| !row.task.state.is_final());
    let failed = count(|row| row.task.state.is_unsuccessful());
    // Children of an ended parent may be deleted: they count no more.
    let complete = children.len() == counted.total as usize;
    if open == counted.open as usize && (!complete || failed == counted.failed as usize) {
        return Ok(());
    }
    Err(format!(
        "{}: counted {} open and {} failed of {}, there are {open} and {failed} of {}",
        name(id),
        counted.open,
        counted.failed,
        counted.total,
        children.len()
    ))
}

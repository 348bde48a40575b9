//! A failed attempt, or a task's end, is told at most once, by whomever.

use crate::sim::alerts::is_of_failure;
use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Alerted { who, alert } = fact else {
        return Ok(());
    };
    let Some(task) = alert.task.as_ref().filter(|_| is_of_failure(alert)) else {
        return Ok(());
    };
    let told = facts.told.get(&(task.id, task.version)).copied().unwrap_or(0);
    if told > 0 && facts.is_fenced(task.id) {
        return Err(format!(
            "{} version {} is told again, now by host {} as {}",
            name(task.id),
            task.version,
            who.host,
            alert.reason
        ));
    }
    Ok(())
}

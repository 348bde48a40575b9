//! A parent that ends while children are open calls a rescuer for them.

use crate::sim::fact::{By, Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, _: &Facts) -> Result<(), String> {
    let Fact::Changed {
        by: By::Edit { .. },
        after: Some(after),
        ..
    } = fact
    else {
        return Ok(());
    };
    let task = &after.task;
    if task.state.is_final() && task.children.open > 0 && task.alarm_at.is_none() {
        return Err(format!(
            "{} is {} with {} open children, and no alarm rings for them",
            name(task.id),
            task.state,
            task.children.open
        ));
    }
    Ok(())
}

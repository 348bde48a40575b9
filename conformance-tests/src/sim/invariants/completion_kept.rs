//! An acknowledged completion ends the wait; the task does not wait on for it.

use retry_core::task::State;

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Changed {
        before: Some(before),
        after: Some(after),
        ..
    } = fact
    else {
        return Ok(());
    };
    let task = &after.task;
    let begins = after.is(State::Waiting) && !before.is(State::Waiting);
    if begins && facts.completed.contains(&(task.id, task.step, task.reruns)) && facts.is_fenced(task.id) {
        return Err(format!(
            "{} waits in step {} for a completion that was acknowledged",
            name(task.id),
            task.step
        ));
    }
    Ok(())
}

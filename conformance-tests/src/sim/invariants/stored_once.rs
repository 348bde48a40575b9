//! What a client enqueues once is one task, however often it was sent.

use crate::sim::fact::{By, Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Changed {
        by: By::Insert,
        before: None,
        after: Some(after),
    } = fact
    else {
        return Ok(());
    };
    let by_client = |script: &usize| {
        let mut tasks = facts.config.tasks.iter();
        tasks.any(|task| task.what.script == *script)
    };
    let Some(script) = after.script.filter(by_client) else {
        return Ok(());
    };
    match facts.enqueued.get(&script) {
        Some(first) if *first != after.task.id => Err(format!(
            "script {script} is stored as {} and as {}",
            name(*first),
            name(after.task.id)
        )),
        _ => Ok(()),
    }
}

//! A worker never runs a task twice at the same time, whatever the store gives it.

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Started { run } = fact else {
        return Ok(());
    };
    let mut others = facts.active_runs();
    match others.find(|other| other.id == run.id && other.who == run.who) {
        Some(other) => Err(format!(
            "host {} starts {} version {} while it runs version {}",
            run.who.host,
            name(run.id),
            run.version,
            other.version
        )),
        None => Ok(()),
    }
}

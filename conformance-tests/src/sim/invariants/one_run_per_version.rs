//! The version is a fencing token: no two runs of a handler share one.

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Started { run } = fact else {
        return Ok(());
    };
    let same = |other: &&crate::sim::fact::Run| other.fallback == run.fallback;
    match facts.runs_under(run.id, run.version).find(same) {
        Some(other) if !facts.power_cut => Err(format!(
            "{} version {} started on host {} and again on host {}",
            name(run.id),
            run.version,
            other.who.host,
            run.who.host
        )),
        _ => Ok(()),
    }
}

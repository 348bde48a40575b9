//! A worker runs at most one task that one more lost lease would fail: a task that kills its process dies alone.

use retry_core::task::State;

use crate::sim::fact::{Fact, Run, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Started { run } = fact else {
        return Ok(());
    };
    let on_last_life = |run: &Run| {
        let row = facts.rows.get(&run.id);
        let current = row.filter(|row| {
            row.is(State::Running) && row.claim.is_some_and(|claim| claim.version == run.version)
        });
        current.is_some_and(|row| row.task.is_on_its_last_life())
    };
    if run.fallback || !on_last_life(run) {
        return Ok(());
    }
    let mut here = facts
        .active_runs()
        .filter(|other| other.who == run.who && other.part == run.part && other.id != run.id);
    match here.find(|other| on_last_life(other)) {
        Some(other) => Err(format!(
            "host {} runs {} and {}, each on its last life",
            run.who.host,
            name(other.id),
            name(run.id)
        )),
        None => Ok(()),
    }
}

//! An enqueue that failed with a certain error wrote nothing.

use crate::sim::fact::{By, Fact};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let broken = match fact {
        Fact::Refused { script } => facts.scripts.contains(script).then_some(*script),
        Fact::Changed {
            by: By::Insert,
            before: None,
            after: Some(row),
        } => row.script.filter(|script| facts.refused.contains(script)),
        _ => None,
    };
    broken.map_or(Ok(()), |script| {
        Err(format!("script {script} was refused for certain and is stored"))
    })
}

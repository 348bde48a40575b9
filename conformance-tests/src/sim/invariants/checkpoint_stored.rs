//! Progress that a handler was told is stored is stored.

use crate::sim::fact::{Fact, name};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Checkpointed {
        id,
        version,
        stored: true,
        ..
    } = fact
    else {
        return Ok(());
    };
    if facts.checkpoints.contains(&(*id, *version)) || !facts.is_fenced(*id) {
        return Ok(());
    }
    Err(format!(
        "the handler of {} was told that progress {version} is stored, and it is not",
        name(*id)
    ))
}

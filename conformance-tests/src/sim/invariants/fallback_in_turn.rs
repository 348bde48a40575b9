//! A fallback runs only in an attempt above its threshold, after the primary of the same attempt failed.

use crate::sim::fact::{Fact, How, name};
use crate::sim::facts::Facts;
use crate::sim::script::FALLBACK_ABOVE;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Started { run } = fact else {
        return Ok(());
    };
    if !run.fallback {
        return Ok(());
    }
    if run.attempt <= FALLBACK_ABOVE {
        return Err(format!(
            "the fallback of {} runs in attempt {}",
            name(run.id),
            run.attempt
        ));
    }
    // Of a task that the store lost and was given again, the runs before are not known any more.
    if facts.unfenced.contains(&run.id) {
        return Ok(());
    }
    let failed = |how| matches!(how, Some(How::Failed | How::FailedForGood));
    let primaries = facts.runs_under(run.id, run.version);
    let last = primaries.filter(|primary| !primary.fallback).last();
    if last.is_some_and(|primary| failed(primary.ended)) {
        return Ok(());
    }
    Err(format!(
        "the fallback of {} runs though the primary did not fail",
        name(run.id)
    ))
}

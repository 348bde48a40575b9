//! A run is repeated inside its attempt only after one that failed and may be repeated, so many times and so soon.

use crate::sim::fact::{Fact, How, name};
use crate::sim::facts::Facts;
use crate::sim::features::Feature;
use crate::sim::script::{QUICK_PAUSE, QUICK_RETRIES, QUICK_WITHIN};

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Started { run } = fact else {
        return Ok(());
    };
    if run.again == 0 || !facts.is_fenced(run.id) {
        return Ok(());
    }
    let wrong = |what: &str| Err(format!("{} is repeated inside its attempt {what}", name(run.id)));
    if !facts.config.features.has(Feature::Quick) || run.again > QUICK_RETRIES {
        return wrong("too often");
    }
    let runs: Vec<_> = facts.runs_under(run.id, run.version).collect();
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
        return wrong("without a first run");
    };
    if last.ended != Some(How::Failed) {
        return wrong("though its last run did not fail, or failed for good");
    }
    let since = |other: &crate::sim::fact::Run| run.started_at.saturating_since(other.started_at);
    if since(last) < QUICK_PAUSE {
        return wrong("without a pause");
    }
    // A host that stands still runs on late.
    if since(first) > QUICK_WITHIN && !facts.hosts[run.who.host].paused_once {
        return wrong("too late");
    }
    Ok(())
}

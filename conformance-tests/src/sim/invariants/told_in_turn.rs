//! What a handler's failure tells is told after the handler failed and, where there is a fallback, after that failed too;
//! nothing is told of an attempt whose fallback succeeded.

use retry_core::alert::AlertReason;

use crate::sim::fact::{Fact, How, Run, name};
use crate::sim::facts::Facts;
use crate::sim::script::KindOf;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Alerted { alert, .. } = fact else {
        return Ok(());
    };
    let Some(task) = &alert.task else { return Ok(()) };
    // Errors of scripts; rescuers and completions record texts of their own.
    let of_handler = alert
        .error
        .as_ref()
        .is_some_and(|error| error.as_str().contains("the script"));
    if !of_handler || !facts.is_fenced(task.id) {
        return Ok(());
    }
    let runs: Vec<&Run> = facts.runs_up_to(task.id, task.version).collect();
    let ended = |run: &&Run, how| run.ended == Some(how);
    let wrong = |what: &str| {
        let (id, reason) = (name(task.id), alert.reason);
        Err(format!(
            "{reason} of {id} version {} is told though {what}",
            task.version
        ))
    };
    let failed = |run: &&Run| ended(run, How::Failed) || ended(run, How::FailedForGood);
    let last = runs.iter().rfind(|run| !run.fallback);
    if !last.is_some_and(failed) {
        return wrong("its handler did not fail");
    }
    let fallback = runs.iter().find(|run| run.fallback);
    if fallback.is_some_and(|run| ended(run, How::Succeeded)) {
        return wrong("its fallback succeeded");
    }
    let backed = alert
        .kind
        .as_ref()
        .is_some_and(|kind| kind.as_str() == KindOf::Backed.name());
    if backed && alert.reason == AlertReason::AttemptFailed && !fallback.is_some_and(failed_run) {
        return wrong("its fallback did not fail");
    }
    Ok(())
}

fn failed_run(run: &&Run) -> bool {
    run.ended == Some(How::Failed)
}

//! Attempts are exact: the history has one entry for each that failed, each crash in it was a kill, each lost lease had
//! ended, each error was a handler's.

use retry_core::limits::MAX_FAILURES_KEPT;
use retry_core::task::FailedAttempt;

use super::{Found, Kept, SLACK};
use crate::event::How;
use crate::history::{Claim, History, Trace};

pub(super) fn check(trace: &Trace, kept: &Kept, history: &History, found: &mut Found) {
    let failures = &kept.detail.failures;
    numbers(kept, failures, found);
    let by_handler = failures.iter().filter(|failure| failure.worker.is_some()).count();
    let failed = trace
        .runs
        .iter()
        .filter_map(|run| run.end)
        .filter(|end| end.how != How::Good)
        .count();
    found.failures += by_handler as u64;
    if by_handler > failed {
        found.wrong(format!(
            "task {} has {by_handler} errors of handlers, the log {failed}",
            kept.id
        ));
    }
    for failure in failures.iter().filter(|failure| failure.worker.is_none()) {
        crash(trace, &kept.id, failure, history, found);
    }
}

/// The attempts of the entries follow one another, and the record's own follows the last.
fn numbers(kept: &Kept, failures: &[FailedAttempt], found: &mut Found) {
    let task = &kept.detail.task;
    let mut last = (failures.len() < MAX_FAILURES_KEPT).then_some(0);
    let own = [task.attempt];
    for attempt in failures.iter().map(|failure| failure.attempt).chain(own) {
        // A new step begins anew.
        if attempt != 1 && last.is_some_and(|last| attempt != last + 1) {
            let told: Vec<String> = failures
                .iter()
                .map(|f| format!("{}: {}", f.attempt, f.error.as_str()))
                .collect();
            found.wrong(format!(
                "ATTEMPTS: task {} ({}) is at attempt {}, step {} after {told:?}",
                kept.id,
                kept.kind(),
                task.attempt,
                task.step
            ));
            return;
        }
        last = Some(attempt);
    }
}

/// A crash is explained by a kill of the process that held the task, or by the end of its lease.
fn crash(trace: &Trace, id: &str, failure: &FailedAttempt, history: &History, found: &mut Found) {
    let to = failure.ended_at.as_millis();
    let holder = holder(trace, failure);
    let killed = |at: &i64| *at <= to + SLACK;
    let text = |what: &str| {
        format!(
            "{what}: task {id}, attempt {}, held by {:?}: lost at {to}",
            failure.attempt,
            holder.map(|claim| &claim.process)
        )
    };
    if failure.error.as_str().contains("process died") {
        found.crashes += 1;
        let from = failure.started_at.as_millis() - SLACK;
        let explained = match holder {
            Some(claim) => history.killed.get(&claim.process).is_some_and(killed),
            None => history.killed.values().any(|at| *at >= from && killed(at)),
        };
        if !explained {
            found.wrong(text("CRASH") + " with its process, which was not killed before");
        }
        return;
    }
    found.leases_lost += 1;
    let Some(holder) = holder else { return };
    let stops = history
        .stopped
        .get(&holder.process)
        .map_or(&[][..], Vec::as_slice);
    let stopped = stops.iter().any(|stop| *stop <= to);
    let dead = history.killed.get(&holder.process).is_some_and(killed);
    found.starved += u64::from(!stopped && !dead);
    if let Some(end) = history.lease_end(&holder.session, to).filter(|end| *end > to) {
        found.wrong(text("EARLY") + &format!(" with a lease that lasted until {end}"));
    }
}

/// The claim that an entry is about, if it begins with it (a checkpoint moves the beginning) and the claim's answer came
/// as far as the log.
fn holder<'t>(trace: &'t Trace, failure: &FailedAttempt) -> Option<&'t Claim> {
    let span = failure.started_at.as_millis()..=failure.ended_at.as_millis();
    let mut claims = trace.claims.iter().rev();
    claims.find(|claim| claim.attempt == failure.attempt && span.contains(&claim.at))
}

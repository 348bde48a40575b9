//! What the store records is what the handler did: no failure becomes a snooze, no success a retry.

use retry_core::task::State;

use super::settle_after_end::is_rescue;
use crate::sim::fact::{By, Fact, How, Row, Run, name};
use crate::sim::facts::Facts;
use crate::sim::script::KindOf;

/// The longest snooze of a script; its retries come sooner.
const LONGEST_PAUSE_MS: i64 = 3_000;

/// What a settle made of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    Succeeded,
    Failed,
    Cancelled,
    Retried,
    GivenBack,
    Waiting,
    Joining,
    NextStep,
    StepBefore,
}

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    let Fact::Changed {
        by: By::Edit { edit, .. },
        before: Some(before),
        after,
    } = fact
    else {
        return Ok(());
    };
    let leaves = before.is(State::Running) && after.is_none_or(|after| !after.is(State::Running));
    if !leaves || !facts.is_fenced(before.task.id) || is_rescue(edit, before, facts) {
        return Ok(());
    }
    let became = became(before, *after);
    let Some(claim) = before.claim else { return Ok(()) };
    let runs = facts.deciding_runs(before.task.id, &claim);
    // A worker that does not learn that the task it tried is stored gives it back: the try is not counted.
    let not_known = became == Became::GivenBack && runs.iter().any(|run| run.tried);
    // The new payload's shards are not those that are stored.
    let other_shards = became == Became::Failed && facts.replaced_in_split.contains(&before.task.id);
    let kept = match runs.as_slice() {
        _ if not_known || other_shards => true,
        [] => unrun(before, became, facts),
        [run] => fits(run, before, became, facts),
        [primary, fallback, ..] => match fallback.ended {
            Some(How::Succeeded) => became == Became::Succeeded || fallback.cancelled,
            _ => fits(primary, before, became, facts) || (fallback.cancelled && became == Became::GivenBack),
        },
    };
    if kept || became == Became::Cancelled && may_cancel(before) {
        return Ok(());
    }
    let ended: Vec<_> = runs.iter().map(|run| (run.ended, run.cancelled)).collect();
    Err(format!(
        "{} version {}: the handler ended {ended:?}, the task became {became:?}",
        name(before.task.id),
        claim.version
    ))
}

fn became(before: &Row, after: Option<&Row>) -> Became {
    let Some(after) = after.map(|row| &row.task) else {
        return Became::Succeeded;
    };
    let before = &before.task;
    match after.state {
        State::Succeeded => Became::Succeeded,
        State::Failed => Became::Failed,
        State::Cancelled => Became::Cancelled,
        State::Waiting => Became::Waiting,
        State::Joining => Became::Joining,
        State::Pending | State::Running if after.step > before.step => Became::NextStep,
        State::Pending | State::Running if after.step < before.step => Became::StepBefore,
        State::Pending | State::Running if after.attempt < before.attempt => Became::GivenBack,
        State::Pending | State::Running => Became::Retried,
    }
}

/// A claimed task that was not run: handed back, expired, or its early completion decided.
fn unrun(before: &Row, became: Became, facts: &Facts) -> bool {
    let decided = facts.completed.iter().any(|(id, _, _)| *id == before.task.id) || before.task.step > 0;
    match became {
        Became::GivenBack => true,
        Became::Succeeded | Became::Failed | Became::StepBefore => decided,
        _ => false,
    }
}

fn fits(run: &Run, before: &Row, became: Became, facts: &Facts) -> bool {
    let task = &before.task;
    let gives_up = gives_up(before, facts);
    let retried = match became {
        Became::Retried => true,
        Became::Failed => exhausted(task) || gives_up,
        _ => false,
    };
    // A cancelled handler's error is taken for the cancel itself; after a time-out it is a failure.
    let timed = run.kind == KindOf::Timed;
    let cut_short = run.cancelled && (became == Became::GivenBack || (timed && retried));
    match run.ended {
        Some(How::Succeeded) => became == Became::Succeeded,
        Some(How::Failed) => retried || cut_short,
        Some(How::FailedForGood) => became == Became::Failed || cut_short,
        Some(How::Snoozed | How::Continued) => {
            became == Became::GivenBack || (became == Became::Failed && gives_up)
        }
        Some(How::Waits) => matches!(became, Became::Waiting | Became::NextStep),
        Some(How::Splits) => matches!(became, Became::Joining | Became::NextStep),
        Some(How::Dropped) => cut_short,
        None => false,
    }
}

fn exhausted(task: &retry_core::task::Task) -> bool {
    task.settings.max_attempts.is_some_and(|max| task.attempt >= max)
}

/// Its give-up time comes before it could be due again.
fn gives_up(before: &Row, facts: &Facts) -> bool {
    let latest = facts.store_now[before.part] + facts.ahead_ms + LONGEST_PAUSE_MS;
    let give_up_at = before.task.settings.give_up_at;
    give_up_at.is_some_and(|at| at.as_millis() <= latest)
}

/// Requested, or past its start deadline.
fn may_cancel(before: &Row) -> bool {
    before.task.cancel_requested || before.task.settings.expires_at.is_some()
}

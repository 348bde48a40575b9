//! Notes what a history hits.

use retry_core::id::TaskId;
use retry_core::store::Inserted;
use retry_core::task::{Action, State};

use super::alerts;
use super::cover::Sometimes as S;
use super::fact::{Answer, By, Fact, How, Row, RowStep};
use super::facts::Facts;
use super::outbox::RowFact;

pub(super) fn note(fact: &Fact<'_>, facts: &mut Facts) {
    match fact {
        Fact::Answered {
            answer: Answer::SessionLost,
            ..
        } => facts.cover.hit(S::SessionLost),
        Fact::Started { run } => {
            if run.again > 0 {
                facts.cover.hit(S::Repeated);
            }
            if run.fallback {
                facts.cover.hit(S::FallbackRan);
            } else if run.version == 1 && facts.births.contains(&run.id) {
                facts.cover.hit(S::RanHere);
            }
            if facts.active_runs().any(|other| other.id == run.id) {
                facts.cover.hit(S::Overlap);
            }
        }
        Fact::Ended { run, how } => {
            facts.cover.hit(match how {
                How::Succeeded => S::Succeeded,
                How::Failed => S::Failed,
                How::FailedForGood => S::FailedForGood,
                How::Snoozed => S::Snoozed,
                How::Continued => S::Continued,
                How::Waits => S::Waited,
                How::Splits => S::SplitUp,
                How::Dropped => S::Dropped,
            });
            if run.again > 0 && *how == How::Succeeded {
                facts.cover.hit(S::RepeatedWell);
            }
            if run.cancelled {
                facts.cover.hit(S::Cancelled);
            }
        }
        Fact::Checkpointed { stored, .. } => {
            facts.cover.hit(if *stored {
                S::Checkpoint
            } else {
                S::CheckpointRefused
            });
        }
        Fact::Alerted { alert, .. } => facts.cover.hit(match () {
            () if !alerts::is_of_failure(alert) => S::ToldLate,
            () if alert.reason.is_dead_letter() => S::ToldDead,
            () => S::Told,
        }),
        Fact::Outbox {
            id,
            step: RowStep::HandedOver(inserted),
        } => handed_over(*id, *inserted, facts),
        Fact::Enqueued { new: false, .. } => facts.cover.hit(S::Duplicate),
        Fact::Changed {
            by: By::Purge,
            after: None,
            ..
        } => facts.cover.hit(S::Purged),
        Fact::Changed {
            by: By::Claim,
            after: Some(after),
            ..
        } if facts.claims_of(after.task.id, after.task.version) > 0 => facts.cover.hit(S::SameClaim),
        Fact::Changed { .. } => changed(fact, facts),
        _ => {}
    }
}

fn handed_over(id: TaskId, inserted: Inserted, facts: &mut Facts) {
    facts.cover.hit(S::HandedOver);
    if !matches!(inserted, Inserted::New { .. }) {
        facts.cover.hit(S::KeptOutAtHandOver);
    }
    let written = facts.outbox.get(&id).map_or(0, |row| row.written);
    let behind = |row: &RowFact| row.handed_over && row.written > written;
    if facts.outbox.values().any(behind) {
        facts.cover.hit(S::HandedLate);
    }
}

/// A running task stored children of its split.
fn chunked(before: &Row, facts: &mut Facts) {
    facts.cover.hit(S::Chunked);
    let first_of_its_attempt = before
        .claim
        .is_some_and(|claim| claim.version == before.task.version);
    if first_of_its_attempt && before.task.children.total > 0 {
        facts.cover.hit(S::ChunksResumed);
    }
}

fn changed(fact: &Fact<'_>, facts: &mut Facts) {
    let Fact::Changed {
        by: By::Edit { edit, .. },
        before: Some(before),
        after,
    } = fact
    else {
        return;
    };
    let Some(after) = after else {
        return facts.cover.hit(S::Deleted);
    };
    let (was, is) = (&before.task, &after.task);
    let unrun = before
        .claim
        .is_some_and(|claim| facts.runs_under(was.id, claim.version).next().is_none());
    if matches!(edit.action, Action::StoreCompletion(_)) {
        facts.cover.hit(S::EarlyCompletion);
    }
    if was.state == State::Running && is.state == State::Running && !edit.insert.is_empty() {
        chunked(before, facts);
    }
    if is.reruns > was.reruns {
        facts.cover.hit(S::Rerun);
    }
    if let Action::Set(change) = &edit.action
        && let Some(failure) = &change.to.failure
    {
        if failure.error.as_str().contains("lease was lost") {
            facts.cover.hit(S::LeaseLost);
        } else if failure.error.as_str().contains("overran") {
            facts.cover.hit(S::DeadlinePassed);
        }
    }
    match (was.state, is.state) {
        (State::Running, State::Pending) if unrun && is.attempt < was.attempt => {
            facts.cover.hit(S::HandedBack)
        }
        (State::Waiting, State::Pending | State::Failed)
            if was
                .alarm_at
                .is_some_and(|at| at.as_millis() <= facts.store_now[before.part]) =>
        {
            facts.cover.hit(S::WaitDeadline);
        }
        (_, State::Succeeded) if !was.state.is_final() => facts.cover.hit(S::EndSucceeded),
        (_, State::Failed) if !was.state.is_final() => {
            let exhausted = was.settings.max_attempts.is_some_and(|max| was.attempt >= max);
            let give_up = was.settings.give_up_at.map_or(i64::MAX, |at| at.as_millis());
            if !exhausted && give_up <= facts.store_now[before.part] + 500 {
                facts.cover.hit(S::GaveUp);
            }
            facts.cover.hit(S::EndFailed);
        }
        (from, State::Cancelled) if !from.is_final() => {
            let expired = is
                .settings
                .expires_at
                .is_some_and(|at| at.as_millis() <= facts.store_now[before.part] + 1);
            facts.cover.hit(if expired && !was.cancel_requested {
                S::Expired
            } else {
                S::EndCancelled
            });
        }
        _ => {}
    }
}

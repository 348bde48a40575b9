//! How a running attempt ends, or reports progress.

use super::Rejected;
use super::target::{cold, end, expect, pending, recorded, set, set_unless_cancelled};
use crate::limits::MAX_COUNT;
use crate::payload::Payload;
use crate::task::{Action, FailedAttempt, Field, State, Target, Task};
use crate::time::Timestamp;

pub(super) fn succeed(
    task: &Task,
    output: Option<Payload>,
    via_fallback: bool,
    now: Timestamp,
) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    let forgotten = task
        .settings
        .retention
        .succeeded
        .is_some_and(|kept| kept.is_zero());
    if forgotten && task.parent.is_none() && task.children.open == 0 {
        return Ok(Action::Delete { from: State::Running });
    }
    let mut to = Target {
        crashes: 0,
        ..end(task, State::Succeeded, now)
    };
    if output.is_some() || via_fallback {
        to.cold = cold(|cold| {
            cold.output = output.map_or(Field::Keep, Field::Set);
            cold.via_fallback = Some(via_fallback);
        });
    }
    Ok(set(task, to))
}

pub(super) fn retry(
    task: &Task,
    at: Timestamp,
    failure: FailedAttempt,
    now: Timestamp,
) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    if exhausted(task, at) {
        return fail(task, Some(failure), now);
    }
    let to = Target {
        failure: Some(Box::new(failure)),
        ..pending(task, at.max(now))
    };
    Ok(set_unless_cancelled(task, to, now))
}

/// Whether no attempt may follow one that would start at `at`.
pub(super) fn exhausted(task: &Task, at: Timestamp) -> bool {
    task.settings.max_attempts.is_some_and(|max| task.attempt >= max) || past_give_up(task, at)
}

fn past_give_up(task: &Task, at: Timestamp) -> bool {
    task.settings.give_up_at.is_some_and(|give_up| at >= give_up)
}

pub(super) fn fail(task: &Task, failure: Option<FailedAttempt>, now: Timestamp) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    let failure = failure.map(Box::new);
    Ok(set(
        task,
        Target {
            crashes: 0,
            failure,
            ..end(task, State::Failed, now)
        },
    ))
}

/// An instant in the past keeps a place in the lane, at best the task's own.
pub(super) fn snooze(task: &Task, at: Timestamp, now: Timestamp) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    if past_give_up(task, at.max(now)) {
        return Ok(given_up(task, now));
    }
    Ok(set_unless_cancelled(
        task,
        uncounted(task, at.max(task.run_at)),
        now,
    ))
}

/// A give-up time ends also what never fails: a handler that is told to come back for ever.
fn given_up(task: &Task, now: Timestamp) -> Action {
    let failure = Some(recorded(task, now, "it was not done when its give-up time came"));
    let to = Target {
        crashes: 0,
        failure,
        ..end(task, State::Failed, now)
    };
    set_unless_cancelled(task, to, now)
}

pub(super) fn hand_back(task: &Task, now: Timestamp) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    let to = Target {
        crashes: task.crashes,
        ..uncounted(task, now)
    };
    Ok(set_unless_cancelled(task, to, now))
}

/// As a hand-back, at its old place in the lane.
pub(super) fn put_back(task: &Task, now: Timestamp) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    let to = Target {
        crashes: task.crashes,
        ..uncounted(task, task.run_at)
    };
    Ok(set_unless_cancelled(task, to, now))
}

/// Records a failed attempt and begins the next one under the same lease.
pub(super) fn retry_in_place(
    task: &Task,
    failure: FailedAttempt,
    now: Timestamp,
) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    if exhausted(task, now) {
        return fail(task, Some(failure), now);
    }
    let to = Target {
        attempt: task.attempt.saturating_add(1).min(MAX_COUNT),
        failure: Some(Box::new(failure)),
        ..running(task)
    };
    Ok(set_unless_cancelled(task, to, now))
}

/// Running as it is: the attempt goes on, or the next one begins, under the same lease.
fn running(task: &Task) -> Target {
    Target {
        state: State::Running,
        crashes: task.crashes,
        session: task.session,
        alarm_at: task.alarm_at,
        ..pending(task, task.run_at)
    }
}

pub(super) fn continue_later(
    task: &Task,
    at: Timestamp,
    checkpoint: Payload,
    now: Timestamp,
) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    if past_give_up(task, at) {
        return Ok(given_up(task, now));
    }
    let cold = cold(|cold| cold.checkpoint = Field::Set(checkpoint));
    Ok(set_unless_cancelled(
        task,
        Target {
            cold,
            ..uncounted(task, at.max(now))
        },
        now,
    ))
}

/// Pending, with the attempt given back.
fn uncounted(task: &Task, at: Timestamp) -> Target {
    Target {
        attempt: task.attempt.saturating_sub(1),
        ..pending(task, at)
    }
}

pub(super) fn checkpoint(task: &Task, checkpoint: Payload) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    let to = Target {
        cold: cold(|cold| cold.checkpoint = Field::Set(checkpoint)),
        ..running(task)
    };
    Ok(set(task, to))
}

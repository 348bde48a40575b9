//! The building blocks of every change: the claim, a return to pending, an end.

use super::Rejected;
use crate::id::SessionId;
use crate::limits::{MAX_COUNT, MAX_VERSION, RESEND_WINDOW};
use crate::task::{Action, Change, Cold, ErrorText, FailedAttempt, KeyScope, State, Target, Task};
use crate::time::Timestamp;

/// What a claim makes of a due task. Stores write the same in their own language.
#[must_use]
pub fn claim(task: &Task, session: SessionId, now: Timestamp) -> Task {
    Task {
        state: State::Running,
        attempt: (task.attempt + 1).min(MAX_COUNT),
        version: next_version(task.version),
        session: Some(session),
        alarm_at: task
            .settings
            .deadline_after
            .map(|after| now.saturating_add(after)),
        updated_at: now,
        ..task.clone()
    }
}

pub(super) const fn next_version(version: u64) -> u64 {
    if version < MAX_VERSION {
        version + 1
    } else {
        MAX_VERSION
    }
}

/// Checks that the task is in `state`.
pub(super) fn expect(task: &Task, state: State) -> Result<(), Rejected> {
    if task.state == state {
        Ok(())
    } else {
        Err(Rejected::State(task.state))
    }
}

/// A return to pending, due at `at`, in the same step, the attempt as it is. A running attempt that ends by itself
/// resets the crashes.
pub(super) fn pending(task: &Task, at: Timestamp) -> Target {
    Target {
        state: State::Pending,
        run_at: at,
        attempt: task.attempt,
        crashes: 0,
        step: task.step,
        session: None,
        cancel_requested: None,
        alarm_at: task.start_deadline(),
        purge_at: None,
        holds_key: task.unique.is_some(),
        failure: None,
        cold: None,
    }
}

/// The start of the next step, due at `at`, with its attempts counted anew.
pub(super) fn next_step(task: &Task, at: Timestamp) -> Target {
    Target {
        step: (task.step + 1).min(MAX_COUNT),
        attempt: 0,
        alarm_at: None,
        ..pending(task, at)
    }
}

/// An end in the final state `state`. A parent that may leave open children behind gets an alarm, by which a rescuer
/// cancels them.
pub(super) fn end(task: &Task, state: State, now: Timestamp) -> Target {
    let retention = match state {
        State::Succeeded => task.settings.retention.succeeded,
        State::Failed => task.settings.retention.failed,
        _ => task.settings.retention.cancelled,
    };
    let keeps_key = matches!(task.unique, Some((_, KeyScope::UntilPurged)));
    Target {
        state,
        run_at: task.run_at,
        attempt: task.attempt,
        crashes: task.crashes,
        step: task.step,
        session: None,
        cancel_requested: None,
        alarm_at: (task.children.open > 0).then_some(now),
        purge_at: retention.map(|kept| {
            now.saturating_add(kept)
                .max(task.created_at.saturating_add(RESEND_WINDOW))
        }),
        holds_key: keeps_key,
        failure: None,
        cold: None,
    }
}

/// The end of a task whose cancel was requested.
pub(super) fn cancelled(task: &Task, now: Timestamp) -> Target {
    Target {
        crashes: 0,
        ..end(task, State::Cancelled, now)
    }
}

/// A change without alternatives.
pub(super) fn set(task: &Task, to: Target) -> Action {
    Action::Set(Change {
        from: task.state,
        to,
        if_cancelled: None,
        if_completed: None,
        if_none_open: None,
    })
}

/// A change that a requested cancel turns into an end.
pub(super) fn set_unless_cancelled(task: &Task, to: Target, now: Timestamp) -> Action {
    if task.cancel_requested {
        return set(task, cancelled(task, now));
    }
    let if_cancelled = Some(Box::new(cancelled(task, now)));
    Action::Set(Change {
        from: task.state,
        to,
        if_cancelled,
        if_completed: None,
        if_none_open: None,
    })
}

/// The cold part of a change with one field set by `fill`.
pub(super) fn cold(fill: impl FnOnce(&mut Cold)) -> Option<Box<Cold>> {
    let mut cold = Cold::default();
    fill(&mut cold);
    Some(Box::new(cold))
}

/// A failure that the machine itself records: no worker was there to say how it ended.
pub(super) fn recorded(task: &Task, now: Timestamp, error: impl Into<ErrorText>) -> Box<FailedAttempt> {
    let error = error.into();
    Box::new(FailedAttempt {
        attempt: task.attempt,
        worker: None,
        started_at: task.updated_at,
        ended_at: now,
        error,
    })
}

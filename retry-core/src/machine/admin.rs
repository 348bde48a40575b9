//! What an operator does.

use super::target::{cancelled, cold, expect, pending, set};
use super::{AdminEdit, Rejected, Restart};
use crate::task::{Action, Change, CompletionChange, Field, State, Target, Task};
use crate::time::Timestamp;
use std::time::Duration;

/// Pending and waiting tasks end at once, running ones are flagged, a parent is flagged until its children have ended.
pub(super) fn cancel(task: &Task, now: Timestamp) -> Result<Action, Rejected> {
    match task.state {
        State::Pending | State::Waiting => Ok(set(task, cancelled(task, now))),
        State::Running => Ok(Action::RequestCancel),
        State::Joining if task.cancel_requested => Err(Rejected::AlreadyRequested),
        State::Joining => {
            let to = Target {
                state: State::Joining,
                cancel_requested: Some(true),
                alarm_at: Some(now),
                ..pending(task, task.run_at)
            };
            let ended = Target {
                cancel_requested: Some(true),
                alarm_at: None,
                ..cancelled(task, now)
            };
            Ok(Action::Set(Change {
                from: State::Joining,
                to,
                if_cancelled: None,
                if_completed: None,
                if_none_open: Some(Box::new(ended)),
            }))
        }
        State::Succeeded | State::Failed | State::Cancelled => Err(Rejected::State(task.state)),
    }
}

/// Lets a parent on hold run its next step.
pub(super) fn release(task: &Task, now: Timestamp) -> Result<Action, Rejected> {
    expect(task, State::Joining)?;
    if task.children.open > 0 {
        return Err(Rejected::ChildrenOpen);
    }
    Ok(set(task, pending(task, now)))
}

/// An ended task runs again. Its give-up time and start deadline are counted anew from then.
pub(super) fn rerun(
    task: &Task,
    at: Timestamp,
    from_start: bool,
    now: Timestamp,
) -> Result<Action, Rejected> {
    if !task.state.is_final() {
        return Err(Rejected::State(task.state));
    }
    if task.children.open > 0 {
        return Err(Rejected::ChildrenOpen);
    }
    let at = at.max(now);
    let anew = |span: Option<Duration>| span.map(|span| at.saturating_add(span));
    let field = |limit: Option<Timestamp>| limit.map_or(Field::Clear, Field::Set);
    let (give_up_at, expires_at) = (
        anew(task.settings.give_up_after),
        anew(task.settings.expires_after),
    );
    // One with children has begun, also when it starts anew beside them.
    let begins = (from_start || task.step == 0) && task.children.total == 0;
    let cold = cold(|cold| {
        cold.reruns = Some(task.reruns.saturating_add(1));
        cold.output = Field::Clear;
        cold.via_fallback = Some(false);
        cold.give_up_at = field(give_up_at);
        cold.expires_at = field(expires_at);
        if from_start {
            cold.checkpoint = Field::Clear;
            cold.completion = CompletionChange::Clear;
        }
    });
    let to = Target {
        step: if from_start { 0 } else { task.step },
        attempt: 0,
        cancel_requested: Some(false),
        alarm_at: expires_at.filter(|_| begins),
        cold,
        ..pending(task, at)
    };
    Ok(set(task, to))
}

/// An ended parent waits for its children again. None is open yet: the operator reruns those that failed, or releases it.
pub(super) fn reopen(task: &Task, restart: Option<Restart>, now: Timestamp) -> Result<Action, Rejected> {
    if !task.state.is_final() {
        return Err(Rejected::State(task.state));
    }
    if task.step == 0 || task.children.total == 0 {
        return Err(Rejected::NoChildren);
    }
    if task.children.open > 0 {
        return Err(Rejected::ChildrenOpen);
    }
    let give_up_at = task.settings.give_up_after.map(|span| now.saturating_add(span));
    let step = restart.as_ref().map_or(task.step, |restart| restart.step);
    let cold = cold(|cold| {
        cold.reruns = Some(task.reruns.saturating_add(1));
        cold.output = Field::Clear;
        cold.via_fallback = Some(false);
        cold.give_up_at = give_up_at.map_or(Field::Clear, Field::Set);
        if let Some(restart) = restart {
            cold.checkpoint = restart.checkpoint.map_or(Field::Clear, Field::Set);
            cold.completion = CompletionChange::Clear;
        }
    });
    let to = Target {
        state: State::Joining,
        step: step.clamp(1, task.step),
        attempt: 0,
        cancel_requested: Some(false),
        alarm_at: None,
        cold,
        ..pending(task, now)
    };
    Ok(set(task, to))
}

pub(super) fn reschedule(task: &Task, at: Timestamp, now: Timestamp) -> Result<Action, Rejected> {
    expect(task, State::Pending)?;
    Ok(set(
        task,
        Target {
            crashes: task.crashes,
            ..pending(task, at.max(now))
        },
    ))
}

pub(super) fn edit(task: &Task, edit: AdminEdit) -> Result<Action, Rejected> {
    expect(task, State::Pending)?;
    let cold = cold(|cold| {
        cold.payload = edit.payload;
        cold.headers = edit.headers;
    });
    Ok(set(
        task,
        Target {
            crashes: task.crashes,
            cold,
            ..pending(task, task.run_at)
        },
    ))
}

pub(super) fn delete(task: &Task) -> Result<Action, Rejected> {
    if !task.state.is_final() {
        return Err(Rejected::State(task.state));
    }
    if task.children.open > 0 {
        return Err(Rejected::ChildrenOpen);
    }
    Ok(Action::Delete { from: task.state })
}

//! Waits for a completion, and splits.

use super::Rejected;
use super::attempt::exhausted;
use super::join::asks;
use super::target::{cancelled, cold, end, expect, next_step, pending, recorded, set};
use crate::payload::Payload;
use crate::task::{
    Action, Change, Cold, Completion, CompletionChange, CompletionOutcome, ErrorText, Field, OnWaitDeadline,
    State, Target, Task,
};
use crate::time::Timestamp;

/// The completion may have come already: then the next step is due at once and finds it.
pub(super) fn wait(task: &Task, deadline: Timestamp, now: Timestamp) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    if task.cancel_requested {
        return Ok(set(task, cancelled(task, now)));
    }
    let to = Target {
        state: State::Waiting,
        alarm_at: Some(deadline.max(now)),
        ..pending(task, task.run_at)
    };
    let early = Target {
        cold: cold(|cold| cold.completion = CompletionChange::DeliverEarly),
        ..next_step(task, now)
    };
    Ok(Action::Set(Change {
        from: task.state,
        to,
        if_cancelled: Some(Box::new(cancelled(task, now))),
        if_completed: Some(Box::new(early)),
        if_none_open: None,
    }))
}

/// The parent waits in its next step; with no child open (none given, or all there before) that step is due at once. Unless
/// its policy asks how they ended: children of earlier chunks may have failed, how many this record does not tell, so its alarm
/// rings and a rescuer looks.
pub(super) fn split(task: &Task, checkpoint: Option<Payload>, now: Timestamp) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    if task.cancel_requested {
        return Ok(set(task, cancelled(task, now)));
    }
    let cold = cold(|cold| {
        cold.completion = CompletionChange::Clear;
        cold.checkpoint = checkpoint.map_or(Field::Keep, Field::Set);
    });
    let due = Target {
        cold,
        ..next_step(task, now)
    };
    let joining = |alarm_at| Target {
        state: State::Joining,
        alarm_at,
        ..due.clone()
    };
    let rings = (task.children.total > 0 && asks(task)).then(|| joining(Some(now)));
    let to = joining(None);
    Ok(Action::Set(Change {
        from: task.state,
        to,
        if_cancelled: Some(Box::new(cancelled(task, now))),
        if_completed: None,
        if_none_open: Some(Box::new(rings.unwrap_or(due))),
    }))
}

/// A completion meets the waiting task, or a running one that was claimed to deliver an early completion: a running
/// task is then in the step after the wait. Only a waiting task can be told to repeat its step: an early retry would have
/// lost the attempt to keep.
pub(super) fn complete(task: &Task, outcome: CompletionOutcome, now: Timestamp) -> Result<Action, Rejected> {
    let waiting = task.state == State::Waiting;
    let delivered = task.state == State::Running && task.step > 0;
    if !waiting && !delivered {
        return Err(Rejected::State(task.state));
    }
    // An early end belongs to the step that waited, and is used up: a rerun starts that step anew.
    let (step, completion) = match waiting {
        true => (task.step, CompletionChange::Keep),
        false => (task.step - 1, CompletionChange::Clear),
    };
    // The attempt that waits has failed; of an early end, the one that delivers it.
    let failed = |error: ErrorText| Target {
        step,
        failure: Some(recorded(task, now, error)),
        cold: (!waiting).then(|| {
            Box::new(Cold {
                completion: CompletionChange::Clear,
                ..Cold::default()
            })
        }),
        ..end(task, State::Failed, now)
    };
    let to = match outcome {
        CompletionOutcome::Succeed(output) => Target {
            step,
            cold: cold(|cold| {
                cold.output = output.map_or(Field::Keep, Field::Set);
                cold.completion = completion;
            }),
            ..end(task, State::Succeeded, now)
        },
        CompletionOutcome::Fail(error) => failed(error),
        CompletionOutcome::Resume(_) | CompletionOutcome::Retry { .. } if !waiting => {
            return Err(Rejected::State(task.state));
        }
        CompletionOutcome::Resume(data) => {
            let completion = Completion {
                step: task.step,
                outcome: CompletionOutcome::Resume(data),
            };
            let cold = cold(|cold| cold.completion = CompletionChange::Deliver(completion));
            Target {
                cold,
                ..next_step(task, now)
            }
        }
        CompletionOutcome::Retry { at, error } if exhausted(task, at) => failed(error),
        CompletionOutcome::Retry { at, error } => Target {
            failure: Some(recorded(task, now, error)),
            ..pending(task, at.max(now))
        },
    };
    let if_cancelled = (!to.state.is_final()).then(|| Box::new(cancelled(task, now)));
    Ok(Action::Set(Change {
        from: task.state,
        to,
        if_cancelled,
        if_completed: None,
        if_none_open: None,
    }))
}

pub(super) fn deadline(task: &Task, now: Timestamp) -> Result<Action, Rejected> {
    expect(task, State::Waiting)?;
    if task.alarm_at.is_none_or(|alarm| now < alarm) {
        return Err(Rejected::TooEarly);
    }
    let to = match task.settings.on_wait_deadline {
        OnWaitDeadline::Resume => Target {
            cold: cold(|cold| cold.completion = CompletionChange::Clear),
            ..next_step(task, now)
        },
        OnWaitDeadline::Fail => Target {
            failure: Some(recorded(task, now, "no completion came before the wait deadline")),
            ..end(task, State::Failed, now)
        },
    };
    Ok(set(task, to))
}

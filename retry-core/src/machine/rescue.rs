//! What a rescuer does: lost leases, overrun deadlines, start deadlines, spent alarms. It uses the record alone.

use std::time::Duration;

use super::Rejected;
use super::attempt::exhausted;
use super::target::{cold, end, expect, pending, recorded, set, set_unless_cancelled};
use crate::limits::MAX_COUNT;
use crate::task::{Action, ErrorText, Field, State, Target, Task};
use crate::time::Timestamp;

pub(super) fn lease_lost(
    task: &Task,
    process_dead: bool,
    now: Timestamp,
    random: u64,
) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    let in_place = keeps_its_place(task);
    let crashes = match in_place {
        true => task.crashes,
        false => (task.crashes + 1).min(MAX_COUNT),
    };
    let delay = if process_dead {
        Duration::ZERO
    } else {
        spread(task.settings.rescue_delay, random)
    };
    let at = now.saturating_add(delay);
    let out_of_budget = task.settings.crash_budget.is_some_and(|budget| crashes >= budget);
    let text = if process_dead {
        "its worker's process died"
    } else {
        "its worker's lease was lost"
    };
    if out_of_budget || exhausted(task, at) {
        let text = if out_of_budget {
            format!("{text}; the crash budget is used up")
        } else {
            text.to_owned()
        };
        let failure = Some(recorded(task, now, text));
        return Ok(set_unless_cancelled(
            task,
            Target {
                crashes,
                failure,
                ..end(task, State::Failed, now)
            },
            now,
        ));
    }
    let to = Target {
        crashes,
        failure: Some(recorded(task, now, text)),
        ..pending(task, if in_place { task.run_at } else { at })
    };
    Ok(set_unless_cancelled(task, to, now))
}

/// Whether a rescued task comes back where it was in its lane: one without rescue delay and without crash budget. Nothing is
/// waited for then, and its crashes are not counted: a suspect would stand in another lane. Those that have to be
/// claimed in order rely on it.
const fn keeps_its_place(task: &Task) -> bool {
    task.settings.rescue_delay.is_zero() && task.settings.crash_budget.is_none()
}

pub(super) fn deadline_passed(task: &Task, now: Timestamp, random: u64) -> Result<Action, Rejected> {
    expect(task, State::Running)?;
    if task.alarm_at.is_none_or(|alarm| now < alarm) {
        return Err(Rejected::TooEarly);
    }
    let at = now.saturating_add(spread(task.settings.rescue_delay, random));
    let failure = Some(recorded(task, now, "the attempt overran its deadline"));
    let to = if exhausted(task, at) {
        Target {
            crashes: 0,
            failure,
            ..end(task, State::Failed, now)
        }
    } else {
        let at = if keeps_its_place(task) { task.run_at } else { at };
        Target {
            failure,
            ..pending(task, at)
        }
    };
    Ok(set_unless_cancelled(task, to, now))
}

/// Half of `delay` plus a random part of the other half, so that the tasks of one lost session do not come back at once.
fn spread(delay: Duration, random: u64) -> Duration {
    let half = delay / 2;
    let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
    let part = u128::from(millis) * u128::from(random >> 32) / u128::from(u32::MAX);
    half.saturating_add(Duration::from_millis(u64::try_from(part).unwrap_or(u64::MAX)))
}

/// Cancels a task whose start deadline passed, pending or just claimed. One behind its first step, or that has children
/// since it is in mid-split, has begun for good.
pub(super) fn expire(task: &Task, now: Timestamp) -> Result<Action, Rejected> {
    if !matches!(task.state, State::Pending | State::Running) || task.step > 0 || task.children.total > 0 {
        return Err(Rejected::State(task.state));
    }
    if task.start_deadline().is_none_or(|expires| now < expires) {
        return Err(Rejected::TooEarly);
    }
    let error = ErrorText::new("it expired: no attempt begins after its start deadline");
    let cold = cold(|cold| cold.last_error = Field::Set(error));
    Ok(set(
        task,
        Target {
            cold,
            ..end(task, State::Cancelled, now)
        },
    ))
}

/// Silences the alarm of an ended parent whose children are all final.
pub(super) fn alarm_done(task: &Task, now: Timestamp) -> Result<Action, Rejected> {
    if !task.state.is_final() || task.children.open > 0 {
        return Err(Rejected::State(task.state));
    }
    let to = Target {
        alarm_at: None,
        purge_at: task.purge_at,
        holds_key: task.holds_key,
        ..end(task, task.state, now)
    };
    Ok(set(task, to))
}

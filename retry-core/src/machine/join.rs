//! What the end of a child does to its parent.
//!
//! The store wakes the parent, or rings its alarm so that a rescuer goes by its policy. It never makes a parent final: that
//! would touch the parent's own parent, and a chain of ancestors has no bound.

use super::Rejected;
use super::target::{cancelled, end, expect, pending, recorded};
use crate::task::{Action, Change, FailedChildren, State, Target, Task};
use crate::time::Timestamp;

/// A parent's hot fields after its children changed. Written without raising the version: the parent's own edits stay
/// valid, because they are guarded by its state as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// Pending in the next step, or still joining with its alarm ringing.
    pub state: State,
    /// When it is due.
    pub run_at: Timestamp,
    /// The next instant at which something must happen without a claim.
    pub alarm_at: Option<Timestamp>,
}

/// Decides what becomes of `parent`, whose counters are already the new ones. None: it stays as it is.
#[must_use]
pub fn join(parent: &Task, now: Timestamp) -> Option<Joined> {
    if parent.state != State::Joining || parent.children.open > 0 {
        return None;
    }
    let rings = parent.cancel_requested || (parent.children.failed > 0 && asks(parent));
    Some(if rings {
        Joined {
            state: State::Joining,
            run_at: parent.run_at,
            alarm_at: Some(now),
        }
    } else {
        Joined {
            state: State::Pending,
            run_at: now,
            alarm_at: None,
        }
    })
}

/// Whether it matters to the parent how its children ended.
pub(super) fn asks(parent: &Task) -> bool {
    parent.settings.on_failed_children != FailedChildren::Reduce
}

/// The final state that awaits a parent none of whose children is open, if any does.
fn ends(parent: &Task) -> Option<State> {
    let fails = parent.children.failed > 0 && parent.settings.on_failed_children == FailedChildren::Fail;
    if parent.cancel_requested {
        Some(State::Cancelled)
    } else {
        fails.then_some(State::Failed)
    }
}

/// Whether a parent none of whose children is open waits for an operator.
fn is_held(parent: &Task) -> bool {
    parent.children.failed > 0 && parent.settings.on_failed_children == FailedChildren::Hold
}

/// Ends a parent whose children have all ended, because its cancel was requested or its policy says so. One whose split
/// ended behind its last child goes on, or is held, if that is what the policy says. Should a child be rerun before or
/// meanwhile, the parent goes on waiting, without its alarm.
pub(super) fn end_joined(task: &Task, now: Timestamp) -> Result<Action, Rejected> {
    expect(task, State::Joining)?;
    if task.children.open > 0 {
        return waits_again(task, now);
    }
    let ended = match ends(task) {
        Some(State::Failed) => {
            let (failed, total) = (task.children.failed, task.children.total);
            let failure = Some(recorded(
                task,
                now,
                format!("{failed} of {total} children failed"),
            ));
            Target {
                failure,
                ..end(task, State::Failed, now)
            }
        }
        Some(_) => cancelled(task, now),
        // Nobody was called: it waits for an operator.
        None if task.alarm_at.is_none() => return Err(Rejected::State(task.state)),
        None if is_held(task) => waits(task, None),
        None => pending(task, now),
    };
    Ok(joining(waits(task, None), Some(ended)))
}

/// Silences the alarm of a parent of which a child was rerun before a rescuer came to end it.
fn waits_again(task: &Task, now: Timestamp) -> Result<Action, Rejected> {
    if task.cancel_requested {
        return Err(Rejected::ChildrenOpen);
    }
    // When the last child ends meanwhile and the parent still waits, some have failed, how many this record does not tell:
    // the alarm rings on.
    let rings = asks(task).then(|| waits(task, Some(now)));
    Ok(joining(waits(task, None), rings))
}

fn waits(task: &Task, alarm_at: Option<Timestamp>) -> Target {
    Target {
        state: State::Joining,
        alarm_at,
        ..pending(task, task.run_at)
    }
}

fn joining(to: Target, if_none_open: Option<Target>) -> Action {
    Action::Set(Change {
        from: State::Joining,
        to,
        if_cancelled: None,
        if_completed: None,
        if_none_open: if_none_open.map(Box::new),
    })
}

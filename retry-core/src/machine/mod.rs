//! The state machine: one pure function from a task and an event to the edit that a store is to make.
//!
//! No clock, no randomness, no I/O: `now` and `random` are arguments, so every decision can be replayed. A store applies
//! the result guarded by version and state and never decides a state itself, except by picking among the complete
//! alternatives that a [`Change`](crate::task::Change) carries and by [`join`], which it calls with a parent's new
//! counters.
//!
//! The whole table; it is generated from [`TABLE`], and a test walks every state × event × boundary against it:
#![doc = include_str!("../../docs/state-machine.md")]

mod admin;
mod attempt;
mod event;
mod join;
mod rescue;
mod table;
mod target;
mod wait;

#[cfg(test)]
mod machine_test;

pub use event::{AdminEdit, Event, Rejected, Restart};
pub use join::{Joined, join};
pub use table::{Rule, TABLE, render_table};
pub use target::claim;

use crate::task::{Action, Task};
use crate::time::Timestamp;

/// Decides what `event` does to `task` at `now`. `random` spreads rescued tasks; other events do not use it.
///
/// # Errors
/// [`Rejected`] when the event does not apply to the task's state or comes too early.
pub fn transition(task: &Task, event: Event, now: Timestamp, random: u64) -> Result<Action, Rejected> {
    match event {
        Event::Succeed { output, via_fallback } => attempt::succeed(task, output, via_fallback, now),
        Event::Retry { at, failure } => attempt::retry(task, at, failure, now),
        Event::Fail { failure } => attempt::fail(task, Some(failure), now),
        Event::Snooze { at } => attempt::snooze(task, at, now),
        Event::HandBack => attempt::hand_back(task, now),
        Event::PutBack => attempt::put_back(task, now),
        Event::RetryInPlace { failure } => attempt::retry_in_place(task, failure, now),
        Event::Continue { at, checkpoint } => attempt::continue_later(task, at, checkpoint, now),
        Event::Checkpoint { checkpoint } => attempt::checkpoint(task, checkpoint),
        Event::Wait { deadline } => wait::wait(task, deadline, now),
        Event::Split { checkpoint } => wait::split(task, checkpoint, now),
        Event::Complete { outcome } => wait::complete(task, outcome, now),
        Event::WaitDeadline => wait::deadline(task, now),
        Event::LeaseLost { process_dead } => rescue::lease_lost(task, process_dead, now, random),
        Event::DeadlinePassed => rescue::deadline_passed(task, now, random),
        Event::Expire => rescue::expire(task, now),
        Event::AlarmDone => rescue::alarm_done(task, now),
        Event::ChildrenEnded => join::end_joined(task, now),
        Event::Cancel => admin::cancel(task, now),
        Event::Release => admin::release(task, now),
        Event::Rerun { at, from_start } => admin::rerun(task, at, from_start, now),
        Event::Reopen { restart } => admin::reopen(task, restart, now),
        Event::Reschedule { at } => admin::reschedule(task, at, now),
        Event::Edit(edit) => admin::edit(task, edit),
        Event::Delete => admin::delete(task),
    }
}

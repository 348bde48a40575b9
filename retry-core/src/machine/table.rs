//! The transition table as data: the source of the printed page and of the exhaustive test.

use std::fmt::Write as _;

use crate::task::State;
use crate::task::State::{Cancelled, Failed, Joining, Pending, Running, Succeeded, Waiting};

/// One row: in which states an event is accepted and where it may lead.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Rule {
    /// The event.
    pub event: &'static str,
    /// The states that accept it.
    pub from: &'static [State],
    /// The states it may lead to, alternatives included. Empty: the row is deleted or only flagged.
    pub to: &'static [State],
    /// What happens to the attempt.
    pub attempt: &'static str,
    /// What else to know.
    pub note: &'static str,
}

const fn rule(
    event: &'static str,
    from: &'static [State],
    to: &'static [State],
    attempt: &'static str,
    note: &'static str,
) -> Rule {
    Rule {
        event,
        from,
        to,
        attempt,
        note,
    }
}

/// The transition table.
pub const TABLE: &[Rule] = &[
    rule(
        "claim",
        &[Pending],
        &[Running],
        "+1",
        "due, by a live session; version + 1; the running deadline becomes the alarm",
    ),
    rule(
        "succeed",
        &[Running],
        &[Succeeded],
        "",
        "kept 24 h by default; with a retention of zero the row is deleted instead, unless it has a parent or open children",
    ),
    rule(
        "retry",
        &[Running],
        &[Pending, Failed, Cancelled],
        "",
        "Failed when the attempts are used up or the time is past `give_up_at`; Cancelled when a cancel was requested",
    ),
    rule("fail", &[Running], &[Failed], "", ""),
    rule(
        "snooze",
        &[Running],
        &[Pending, Failed, Cancelled],
        "−1",
        "not an error: throttled; Failed past `give_up_at`; a time in the past keeps a place in the lane, at best the old one",
    ),
    rule(
        "hand back",
        &[Running],
        &[Pending, Cancelled],
        "−1",
        "by a worker that shuts down, lost its lease or did not run it; due at once, crashes stay",
    ),
    rule(
        "put back",
        &[Running],
        &[Pending, Cancelled],
        "−1",
        "as a hand back, at its old place: `run_at` stays",
    ),
    rule(
        "retry in place",
        &[Running],
        &[Running, Failed, Cancelled],
        "+1",
        "the next attempt begins under the same lease; version + 1; Failed when the attempts or the time are used up",
    ),
    rule(
        "continue",
        &[Running],
        &[Pending, Failed, Cancelled],
        "−1",
        "stores the checkpoint; Failed past `give_up_at`",
    ),
    rule(
        "checkpoint",
        &[Running],
        &[Running],
        "",
        "stores the checkpoint; version + 1, the new one goes to the handler",
    ),
    rule(
        "wait",
        &[Running],
        &[Waiting, Pending, Cancelled],
        "",
        "Pending in the next step at once when the completion came before",
    ),
    rule(
        "split",
        &[Running],
        &[Joining, Pending, Cancelled],
        "=0",
        "next step; Pending at once when no child is open; with earlier children and a policy that asks how they ended, Joining with its alarm ringing",
    ),
    rule(
        "complete",
        &[Waiting, Running],
        &[Pending, Succeeded, Failed, Cancelled],
        "=0 in the next step",
        "Running only to deliver an early completion that ends the task; retry, of a waiting task only, keeps step and attempt and is Failed when the attempts or the time are used up",
    ),
    rule(
        "wait deadline",
        &[Waiting],
        &[Pending, Failed],
        "=0 in the next step",
        "by `on_wait_deadline`",
    ),
    rule(
        "children ended",
        &[Joining],
        &[Failed, Cancelled, Pending, Joining],
        "",
        "by a rescuer, when no child is open and the alarm rings: Cancelled when flagged, else by the policy for failed children Failed, held, or Pending in the next step; Joining, its alarm silent, should a child of one that is not flagged be rerun first",
    ),
    rule(
        "child final",
        &[Joining],
        &[Pending, Joining],
        "",
        "when no child is open: Pending in the next step; flagged, or with failures and a policy that asks for them: its alarm rings, and a rescuer ends or holds it; raises no version; in any other state only the counters change",
    ),
    rule(
        "lease lost",
        &[Running],
        &[Pending, Failed, Cancelled],
        "",
        "crashes + 1; Failed when attempts, crash budget or time are used up; due after the rescue delay, at once when its process is proved dead; with neither rescue delay nor crash budget `run_at` and crashes stay",
    ),
    rule(
        "deadline passed",
        &[Running],
        &[Pending, Failed, Cancelled],
        "",
        "not a crash; due after the rescue delay; with neither that nor a crash budget `run_at` stays",
    ),
    rule(
        "expire",
        &[Pending, Running],
        &[Cancelled],
        "",
        "past `expires_at`, in the first step and without children; Running only when just claimed",
    ),
    rule(
        "alarm done",
        &[Succeeded, Failed, Cancelled],
        &[Succeeded, Failed, Cancelled],
        "",
        "an ended parent whose open children were cancelled; the state stays",
    ),
    rule(
        "cancel",
        &[Pending, Running, Waiting, Joining],
        &[Cancelled, Joining],
        "",
        "Running: only flagged, raises no version; Joining with open children: flagged, its children are cancelled and the last one's end makes it Cancelled",
    ),
    rule(
        "release",
        &[Joining],
        &[Pending],
        "",
        "no child open: lets a parent on hold go on",
    ),
    rule(
        "rerun",
        &[Succeeded, Failed, Cancelled],
        &[Pending],
        "=0",
        "no child open; same step, or the first; retakes its unique key or answers `KeyTaken`; a child only while its parent is Joining",
    ),
    rule(
        "reopen",
        &[Succeeded, Failed, Cancelled],
        &[Joining],
        "=0",
        "a parent that waited for children, none of which is open: it waits until an operator reruns some or releases it, in the same step or anew in the one behind the split; retakes its unique key or answers `KeyTaken`; a child only while its parent is Joining",
    ),
    rule("reschedule", &[Pending], &[Pending], "", "the past means now"),
    rule("edit", &[Pending], &[Pending], "", "payload, headers"),
    rule(
        "delete",
        &[Succeeded, Failed, Cancelled],
        &[],
        "",
        "no child open; children not before their parent is final",
    ),
];

/// The table as the text of `docs/state-machine.md`.
#[must_use]
pub fn render_table() -> String {
    let mut page = String::from(
        "| event | from | to | attempt | note |\n\
         |---|---|---|---|---|\n",
    );
    for rule in TABLE {
        let states = |states: &[State]| {
            states
                .iter()
                .map(|state| state.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (event, attempt, note) = (rule.event, rule.attempt, rule.note);
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "| {event} | {} | {} | {attempt} | {note} |",
            states(rule.from),
            states(rule.to)
        );
    }
    page
}

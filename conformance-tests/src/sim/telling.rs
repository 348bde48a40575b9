//! How a fact is told: what of it counts for the trace's hash, and its line in the trace.

use retry_core::alert::Alert;
use retry_core::store::Inserted;
use retry_core::task::{Action, CompletionOutcome};

use super::fact::{By, Fact, How, Row, RowStep, Run, Who, name, short};

impl Fact<'_> {
    /// What of it counts for the trace's hash.
    pub(super) fn digest(&self) -> [u64; 6] {
        let who = |who: &Who| (who.host as u64) << 32 | u64::from(who.life);
        match self {
            Self::Sent {
                who: w,
                part,
                op,
                edits,
                claims,
                mark,
            } => [
                1,
                who(w),
                (*part as u64) << 8 | *op as u64,
                edits.len() as u64,
                claims.len() as u64,
                u64::from(*mark),
            ],
            Self::Answered {
                who: w,
                part,
                op,
                sent,
                answer,
                ..
            } => {
                let sent = u64::try_from(sent.since_start().as_micros()).unwrap_or(0);
                [
                    2,
                    who(w),
                    (*part as u64) << 8 | *op as u64,
                    sent,
                    *answer as u64,
                    0,
                ]
            }
            Self::Changed { before, after, .. } => {
                let ([id_before, hot_before], [id_after, hot_after]) =
                    (digest_of(*before), digest_of(*after));
                [3, id_before, hot_before, id_after, hot_after, 0]
            }
            Self::Opened { who: w, .. } => [4, who(w), 0, 0, 0, 0],
            Self::Closed { who: w, holds, .. } => [5, who(w), *holds as u64, 0, 0, 0],
            Self::Marked { .. } => [14, 0, 0, 0, 0, 0],
            Self::Started { run } => [
                6,
                who(&run.who),
                short(run.id),
                run.version,
                u64::from(run.attempt),
                u64::from(run.again),
            ],
            Self::Ended { run, how } => [7, who(&run.who), short(run.id), run.version, *how as u64, 0],
            Self::Checkpointed {
                id, version, stored, ..
            } => [8, short(*id), *version, u64::from(*stored), 0, 0],
            Self::Enqueued { id, new } => [9, short(*id), u64::from(*new), 0, 0, 0],
            Self::Refused { script } => [10, *script as u64, 0, 0, 0, 0],
            Self::Outbox { id, step } => [16, short(*id), digest_of_step(step), 0, 0, 0],
            Self::Completed { token, reruns } => [
                11,
                short(token.task),
                u64::from(token.step),
                u64::from(*reruns),
                0,
                0,
            ],
            Self::Alerted { who: w, alert } => digest_of_alert(who(w), alert),
            Self::Quiet => [12, 0, 0, 0, 0, 0],
            Self::Drained => [13, 0, 0, 0, 0, 0],
        }
    }

    /// A line of the trace.
    pub(super) fn line(&self) -> String {
        let who = |who: &Who| format!("host {} life {}", who.host, who.life);
        match self {
            Self::Sent {
                who: w,
                part,
                op,
                edits,
                claims,
                mark,
            } => {
                format!(
                    "{} sends {op:?} to part {part}: {} edits, {} claims, mark {mark}",
                    who(w),
                    edits.len(),
                    claims.len()
                )
            }
            Self::Answered {
                who: w,
                part,
                op,
                answer,
                ..
            } => format!("{} is answered {op:?} by part {part}: {answer:?}", who(w)),
            Self::Changed { by, before, after } => changed(by, *before, *after),
            Self::Opened { who: w, session, .. } => format!("session {session} of {} opens", who(w)),
            Self::Closed {
                who: w,
                session,
                holds,
            } => {
                format!("session {session} of {} closes, holding {holds}", who(w))
            }
            Self::Marked { by, session } => format!("{} marks session {session} lost", who(by)),
            Self::Started { run } => {
                let fallback = match run {
                    Run { fallback: true, .. } => " (fallback)",
                    Run { tried: true, .. } => " (a try)",
                    Run { again: 1.., .. } => " (again)",
                    _ => "",
                };
                format!(
                    "{} starts {} version {} attempt {}{fallback}",
                    who(&run.who),
                    name(run.id),
                    run.version,
                    run.attempt
                )
            }
            Self::Ended { run, how } => ended(run, *how),
            Self::Checkpointed {
                id, version, stored, ..
            } => {
                format!(
                    "the handler of {} learns: checkpoint {version} stored {stored}",
                    name(*id)
                )
            }
            Self::Enqueued { id, new } => format!("acknowledged {} new {new}", name(*id)),
            Self::Refused { script } => format!("refused the enqueue of script {script}"),
            Self::Outbox { id, step } => format!("the outbox's row of {}: {step:?}", name(*id)),
            Self::Completed { token, .. } => format!(
                "acknowledged the completion of {} step {}",
                name(token.task),
                token.step
            ),
            Self::Alerted { who: w, alert } => format!("{} tells {alert}", who(w)),
            Self::Quiet => "quiet".to_owned(),
            Self::Drained => "drained".to_owned(),
        }
    }
}

/// What of a step counts.
const fn digest_of_step(step: &RowStep) -> u64 {
    match step {
        RowStep::Written => 0,
        RowStep::Committed => 1,
        RowStep::HandedOver(Inserted::New { .. }) => 2,
        RowStep::HandedOver(_) => 3,
    }
}

/// What of an alert counts.
fn digest_of_alert(who: u64, alert: &Alert) -> [u64; 6] {
    let task = alert.task.as_ref();
    let (id, version) = task.map_or((0, 0), |task| (short(task.id), task.version));
    [15, who, alert.reason as u64, id, version, 0]
}

/// What of a row counts.
fn digest_of(row: Option<&Row>) -> [u64; 2] {
    row.map_or([0, 0], |row| {
        let task = &row.task;
        let hot = u64::from(task.state.code()) << 32 | u64::from(task.attempt);
        let counted = hot ^ (task.version << 40) ^ (u64::from(task.children.open) << 24);
        [short(task.id), counted]
    })
}

fn ended(run: &Run, how: How) -> String {
    format!(
        "host {} life {} ends {} version {}: {how:?}, cancelled {}",
        run.who.host,
        run.who.life,
        name(run.id),
        run.version,
        run.cancelled
    )
}

fn changed(by: &By<'_>, before: Option<&Row>, after: Option<&Row>) -> String {
    let of = |row: Option<&Row>| {
        row.map_or_else(
            || "absent".to_owned(),
            |row| {
                let (task, children) = (&row.task, row.task.children);
                format!(
                    "{} version {} attempt {} step {} crashes {} due {} children {}/{}{}",
                    task.state,
                    task.version,
                    task.attempt,
                    task.step,
                    task.crashes,
                    task.run_at,
                    children.open,
                    children.total,
                    if task.cancel_requested { " flagged" } else { "" }
                )
            },
        )
    };
    let id = before.or(after).map_or_else(String::new, |row| {
        format!("{} script {:?}", name(row.task.id), row.script)
    });
    let by = match by {
        By::Edit { who, edit, took } => {
            format!("host {} edits ({}, {took:?})", who.host, action(&edit.action))
        }
        other => format!("{other:?}"),
    };
    format!("{id}: {by}: {} -> {}", of(before), of(after))
}

fn action(action: &Action) -> String {
    match action {
        Action::Set(change) => {
            let why = change.to.failure.as_ref().map_or_else(String::new, |failure| {
                format!(" after {:?}", failure.error.as_str())
            });
            format!("to {}{why}", change.to.state)
        }
        Action::RequestCancel => "request cancel".to_owned(),
        Action::StoreCompletion(completion) => {
            let resume = matches!(completion.outcome, CompletionOutcome::Resume(_));
            format!("early completion, resume {resume}")
        }
        Action::Delete { from } => format!("delete from {from}"),
    }
}

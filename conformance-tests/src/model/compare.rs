//! Whether an answer is one that the contract allows, given the model's.

use retry_core::id::TaskId;
use retry_core::store::{ClaimRequest, Claimed, Renewed, Session};
use retry_core::task::State;
use retry_core::time::Timestamp;

use super::call::{Answer, Call};
use super::reference::{Reference, lane};
use crate::verdict::{Verdict, equal, holds};

/// Fails unless the store may give this answer. `model` has made the call already.
pub(super) fn allowed(
    call: &Call,
    given: Answer,
    wanted: Answer,
    model: &Reference,
    now: Timestamp,
) -> Verdict {
    let law = call.law();
    match (call, given, wanted) {
        (Call::Exchange(_, claims), Answer::Exchanged(given), Answer::Exchanged(wanted)) => {
            equal("L6", "the answers to the edits", given.applied, wanted.applied)?;
            equal(
                "L3",
                "the number of claims answered",
                given.claimed.len(),
                claims.len(),
            )?;
            let answers = given.claimed.into_iter().zip(wanted.claimed);
            for (request, (given, wanted)) in claims.iter().zip(answers) {
                claim(request, given, wanted, model, now)?;
            }
            Ok(())
        }
        (_, Answer::Renewed(given), Answer::Renewed(wanted)) => {
            equal(law, "a renewal", sorted(given), sorted(wanted))
        }
        (_, Answer::Sessions(given), Answer::Sessions(wanted)) => sessions(given, wanted, model),
        (_, Answer::Queues(mut given), Answer::Queues(wanted)) => {
            given.retain(|info| info.paused || !info.lanes.is_empty());
            given.sort_by(|a, b| a.queue.cmp(&b.queue));
            given.iter_mut().for_each(|info| info.lanes.sort());
            equal(law, "the queues", given, wanted)
        }
        (_, given, wanted) => equal(law, "the answer", given, wanted),
    }
}

fn claim(
    request: &ClaimRequest,
    given: Claimed,
    wanted: Claimed,
    model: &Reference,
    now: Timestamp,
) -> Verdict {
    let full = request.limit > 0 && given.tasks.len() == request.limit;
    let cut = full || limit_reached(request, &given);
    equal(
        "L9",
        "whether the session is lost",
        given.session_lost,
        wanted.session_lost,
    )?;
    let (mut given_tasks, mut wanted_tasks) = (given.tasks, wanted.tasks);
    if request.ids.is_some() {
        given_tasks.sort_by_key(|claimed| claimed.task.id);
        wanted_tasks.sort_by_key(|claimed| claimed.task.id);
    }
    let ids = |tasks: &[retry_core::task::ClaimedTask]| -> Vec<TaskId> {
        tasks.iter().map(|claimed| claimed.task.id).collect()
    };
    equal(
        "L5",
        "the claimed tasks, in order",
        ids(&given_tasks),
        ids(&wanted_tasks),
    )?;
    equal("L7", "what was claimed", given_tasks, wanted_tasks)?;
    equal("L14", "rows that cannot be read", given.bad, vec![])?;
    if request.ids.is_none() && request.limit > 0 {
        // A claim that met a limit need not look for what is behind it.
        let right = given.next_due == wanted.next_due || (cut && given.next_due == Some(now));
        holds(
            "L5",
            "`next_due` of a claim",
            right,
            given.next_due,
            &format!("{:?}", wanted.next_due),
        )?;
    }
    if !full {
        return equal(
            "L5",
            "the marks of a claim that was not full",
            given.marks,
            vec![],
        );
    }
    for mark in &given.marks {
        let from = request.after.iter().find(|after| after.lane == mark.lane);
        let skipped = model.tasks().find(|task| {
            let place = (task.run_at, task.id);
            task.state == State::Pending
                && task.queue == request.queue
                && lane(task) == mark.lane
                && place <= (mark.run_at, mark.id)
                && from.is_none_or(|from| place > (from.run_at, from.id))
                && request.not_before.is_none_or(|from| task.run_at >= from)
        });
        holds(
            "L5",
            "a mark of a full claim",
            skipped.is_none(),
            mark,
            "one with no unclaimed task of its lane before it",
        )?;
    }
    Ok(())
}

pub(super) fn limit_reached(request: &ClaimRequest, claimed: &Claimed) -> bool {
    let of_kind = |kind: &retry_core::name::Kind| {
        claimed
            .tasks
            .iter()
            .filter(|claimed| claimed.task.kind == *kind)
            .count()
    };
    // A claimed task keeps the crashes it came with.
    let suspects = claimed
        .tasks
        .iter()
        .filter(|claimed| claimed.task.crashes > 0)
        .count();
    let kinds = request
        .kinds
        .iter()
        .any(|(kind, limit)| *limit > 0 && of_kind(kind) >= *limit);
    kinds || (request.max_suspects > 0 && suspects >= request.max_suspects)
}

pub(super) fn sorted(renewed: Renewed) -> Renewed {
    match renewed {
        Renewed::Live { mut cancel, held } => {
            cancel.sort_unstable();
            Renewed::Live { cancel, held }
        }
        other => other,
    }
}

/// A lost session that holds nothing may be there still, or not.
fn sessions(given: Vec<Session>, wanted: Vec<Session>, model: &Reference) -> Verdict {
    let needed = |session: &Session| !session.lost || !model.held_by(session.info.id).is_empty();
    let keep = |mut sessions: Vec<Session>| {
        sessions.retain(needed);
        sessions.sort_by_key(|session| session.info.id);
        sessions
    };
    equal("L9", "the sessions", keep(given), keep(wanted))
}

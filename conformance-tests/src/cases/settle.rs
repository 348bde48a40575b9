//! The guards of every write: version, state, nonce, cancel flag.

use retry_core::machine::Event;
use retry_core::store::{Applied, Took};
use retry_core::task::{Action, Edit, NewTask, State, Task};

use crate::fixture::{Fixture, failure, json};
use crate::verdict::{Verdict, equal, holds};

/// L6: an edit decided on an older version is stale and changes nothing.
pub async fn an_old_version_writes_nothing(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let late = f.decide(&task, Fixture::success());
    let checkpoint = json("1");
    let now = f.settled(&task, Event::Checkpoint { checkpoint }).await?;
    equal(
        "L6",
        "an edit of the version before",
        f.apply(&late).await?,
        Applied::Stale,
    )?;
    equal("L6", "the record after it", f.task_now(task.id).await?, now)
}

/// L6: a version that is too high does not write either.
pub async fn a_future_version_writes_nothing(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let edit = Edit {
        version: task.version + 1,
        ..f.decide(&task, Fixture::success())
    };
    equal(
        "L6",
        "an edit of a version to come",
        f.apply(&edit).await?,
        Applied::Stale,
    )?;
    equal("L6", "the record after it", f.task_now(task.id).await?, task)
}

/// L6: the state an edit was decided on is part of the guard.
pub async fn the_state_is_part_of_the_guard(f: &mut Fixture) -> Verdict {
    let new = f.task();
    f.insert_new(&new).await?;
    let pending = f.task_now(new.id).await?;
    let as_running = Task {
        state: State::Running,
        ..pending.clone()
    };
    let edit = f.decide(&as_running, Fixture::success());
    equal(
        "L6",
        "a settle of a pending task",
        f.apply(&edit).await?,
        Applied::Stale,
    )?;
    let delete = Edit {
        action: Action::Delete { from: State::Failed },
        ..edit
    };
    equal(
        "L6",
        "a delete of a failed task that is pending",
        f.apply(&delete).await?,
        Applied::Stale,
    )?;
    equal("L6", "the record after both", f.task_now(new.id).await?, pending)
}

/// L6: of the old and the new holder of a task only the new one writes, also when one session is both.
pub async fn a_zombie_writes_nothing(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let session = f.open().await?;
    f.insert_new(&new).await?;
    let first = f.claim_task(session, &new).await?;
    let at = f.now();
    f.settled(&first, Event::Snooze { at }).await?;
    let second = f.claim_task(session, &new).await?;
    holds(
        "L6",
        "the version of the second claim",
        second.version > first.version,
        second.version,
        "more than that of the first",
    )?;
    let zombie = f.settle(&first, Fixture::success()).await?;
    equal("L6", "the first holder's settle", zombie, Applied::Stale)?;
    let done = f.settle(&second, Fixture::success()).await?;
    equal("L6", "the second holder's settle", done, Applied::DONE)
}

/// L6: an edit of a task that is not stored is answered, not failed.
pub async fn a_missing_task_is_an_answer(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let unknown = f.task().id;
    let set = Edit {
        id: unknown,
        ..f.decide(&task, Fixture::success())
    };
    let cancel = Edit {
        action: Action::RequestCancel,
        ..set.clone()
    };
    let delete = Edit {
        action: Action::Delete { from: State::Failed },
        ..set.clone()
    };
    for edit in [set, cancel, delete] {
        let what = format!("{:?} of an unknown task", std::mem::discriminant(&edit.action));
        equal("L6", &what, f.apply(&edit).await?, Applied::Missing)?;
    }
    Ok(())
}

/// L10: the same edit again is repeated, and nothing moves twice.
pub async fn a_repeated_edit_is_recognised(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let at = f.after(5);
    let failure = failure(&task, "no", f.now());
    let edit = Edit {
        insert: vec![f.brought_by(task.id)],
        ..f.decide(&task, Event::Retry { at, failure })
    };
    f.apply_done(&edit).await?;
    let before = f.detail(task.id).await?;
    for _ in 0..2 {
        equal(
            "L10",
            "the same edit again",
            f.apply(&edit).await?,
            Applied::Repeated,
        )?;
    }
    equal("L10", "the task after it", f.detail(task.id).await?, before)
}

/// L10: an edit re-sent after a later claim still answers that it is settled.
pub async fn a_repeat_after_a_claim_is_settled_too(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let task = f.running(&new).await?;
    let at = f.now();
    let edit = f.decide(&task, Event::Snooze { at });
    f.apply_done(&edit).await?;
    let session = f.open().await?;
    let claimed = f.claim_task(session, &new).await?;
    let again = f.apply(&edit).await?;
    let right = matches!(again, Applied::Repeated | Applied::Stale);
    holds(
        "L10",
        "the edit again after a claim",
        right,
        again,
        "Repeated or Stale",
    )?;
    equal("L10", "the claimed record", f.task_now(new.id).await?, claimed)
}

/// L6: a final task changes by rerun and delete only.
pub async fn a_final_state_is_final(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let running = f.running(&new).await?;
    let at = f.now();
    let checkpoint = json("1");
    let late = [
        Fixture::success(),
        Event::Retry {
            at,
            failure: failure(&running, "no", at),
        },
        Event::Fail {
            failure: failure(&running, "no", at),
        },
        Event::Snooze { at },
        Event::Continue {
            at,
            checkpoint: checkpoint.clone(),
        },
        Event::Checkpoint { checkpoint },
        Event::Wait { deadline: at },
        Event::Split { checkpoint: None },
        Event::LeaseLost { process_dead: false },
    ];
    let late: Vec<Edit> = late.into_iter().map(|event| f.decide(&running, event)).collect();
    let cancel = f.decide(&running, Event::Cancel);
    let ended = f.settled(&running, Fixture::success()).await?;
    for edit in late.iter().chain([&cancel]) {
        equal(
            "L6",
            "an edit of an ended task",
            f.apply(edit).await?,
            Applied::Stale,
        )?;
    }
    // With the right version the state still guards it.
    for edit in &late {
        let edit = Edit {
            version: ended.version,
            ..edit.clone()
        };
        equal(
            "L6",
            "an edit of an ended task's version",
            f.apply(&edit).await?,
            Applied::Stale,
        )?;
    }
    equal("L6", "the ended task", f.task_now(new.id).await?, ended)
}

/// L6: a requested cancel raises no version, is idempotent, and holds for running tasks only.
pub async fn a_cancel_request_flags_a_running_task(f: &mut Fixture) -> Verdict {
    let running = f.running_task().await?;
    let cancel = f.decide(&running, Event::Cancel);
    for _ in 0..2 {
        equal("L6", "a cancel request", f.apply(&cancel).await?, Applied::DONE)?;
        let flagged = Task {
            cancel_requested: true,
            ..running.clone()
        };
        equal("L6", "the flagged task", f.task_now(running.id).await?, flagged)?;
    }
    let new = f.task();
    f.insert_new(&new).await?;
    let pending = Edit {
        id: new.id,
        version: 0,
        ..cancel
    };
    equal(
        "L6",
        "a cancel request on a pending task",
        f.apply(&pending).await?,
        Applied::Stale,
    )
}

/// L6, L8: a settle decided before the flag came takes its alternative and drops its inserts.
pub async fn a_flag_turns_a_retry_into_an_end(f: &mut Fixture) -> Verdict {
    let running = f.running_task().await?;
    let at = f.after(5);
    let follow_up = f.brought_by(running.id);
    let retry = Event::Retry {
        at,
        failure: failure(&running, "no", f.now()),
    };
    let edit = Edit {
        insert: vec![follow_up.clone()],
        ..f.decide(&running, retry)
    };
    let cancel = f.decide(&running, Event::Cancel);
    f.apply(&cancel).await?;
    let took = Applied::Done {
        inserted: vec![],
        took: Took::Cancelled,
    };
    equal("L6", "a retry of a flagged task", f.apply(&edit).await?, took)?;
    let task = f.task_now(running.id).await?;
    equal("L6", "its state", task.state, State::Cancelled)?;
    equal(
        "L8",
        "the task it would have inserted",
        f.get(follow_up.id).await?,
        None,
    )
}

/// L6: a success is a success although a cancel was requested.
pub async fn a_flag_does_not_undo_a_success(f: &mut Fixture) -> Verdict {
    let running = f.running_task().await?;
    let edit = f.decide(&running, Fixture::success());
    let cancel = f.decide(&running, Event::Cancel);
    f.apply(&cancel).await?;
    equal(
        "L6",
        "a success of a flagged task",
        f.apply(&edit).await?,
        Applied::DONE,
    )?;
    equal(
        "L6",
        "its state",
        f.task_now(running.id).await?.state,
        State::Succeeded,
    )
}

/// L12: the last 20 failed attempts are kept, oldest first, with their texts.
pub async fn the_history_keeps_the_last_twenty(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let mut task = f.running(&new).await?;
    let session = f.open().await?;
    for attempt in 1..=23 {
        let at = f.now();
        let failure = failure(&task, &format!("  error {attempt}: 'é' "), at);
        f.settled(&task, Event::Retry { at, failure }).await?;
        task = f.claim_task(session, &new).await?;
    }
    let detail = f.detail(new.id).await?;
    let kept: Vec<u32> = detail.failures.iter().map(|failure| failure.attempt).collect();
    equal("L12", "the kept attempts", kept, (4..=23).collect())?;
    let last = detail
        .last_error
        .as_ref()
        .map(retry_core::task::ErrorText::as_str);
    equal("L12", "the last error", last, Some("  error 23: 'é' "))
}

/// L6: a settle that comes before its session is marked lost is accepted, however late.
pub async fn a_late_settle_is_accepted_before_the_rescue(f: &mut Fixture) -> Verdict {
    let new = NewTask { ..f.task() };
    let running = f.running(&new).await?;
    f.advance(std::time::Duration::from_hours(5));
    let settled = f.settle(&running, Fixture::success()).await?;
    equal(
        "L6",
        "a settle five hours after the lease ended",
        settled,
        Applied::DONE,
    )
}

/// L10: a repeated edit inserts nothing, changes nothing and counts nothing.
pub async fn a_repeated_edit_inserts_nothing(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let at = f.now();
    let edit = Edit {
        insert: vec![f.brought_by(task.id), f.brought_by(task.id)],
        ..f.decide(&task, Event::Snooze { at })
    };
    let once = f.apply_done(&edit).await?;
    equal("L10", "the edit again", f.apply(&edit).await?, Applied::Repeated)?;
    equal("L10", "the record after it", f.task_now(task.id).await?, once)?;
    let listed = f.list(&retry_core::store::TaskFilter::default(), 100).await?;
    equal("L10", "the stored tasks after it", listed.len(), 3)
}

/// L6: a rerun clears the flag of a cancel and keeps the history.
pub async fn a_rerun_starts_clean(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let task = f.running(&new).await?;
    let at = f.now();
    let retry = Event::Retry {
        at,
        failure: failure(&task, "no", at),
    };
    f.settled(&task, retry).await?;
    let session = f.open().await?;
    let task = f.claim_task(session, &new).await?;
    f.settle(&task, Event::Cancel).await?;
    let flagged = f.task_now(task.id).await?;
    let ended = f.settled(&flagged, Event::Snooze { at }).await?;
    equal(
        "L6",
        "a flagged task that is snoozed",
        ended.state,
        State::Cancelled,
    )?;
    let history = f.detail(task.id).await?.failures;
    let from_start = false;
    let again = f.settled(&ended, Event::Rerun { at, from_start }).await?;
    let given = (again.state, again.attempt, again.cancel_requested);
    equal("L6", "the task rerun", given, (State::Pending, 0, false))?;
    equal("L6", "its history", f.detail(task.id).await?.failures, history)
}

//! Every row of the state table, applied: the stored task is exactly what the machine's change makes of it.

use std::time::Duration;

use retry_core::machine::Event;
use retry_core::store::{Applied, Took};
use retry_core::task::{
    Action, Change, CompletionOutcome, Edit, ErrorText, NewTask, OnWaitDeadline, Retention, Settings, State,
    Target, Task,
};

use crate::fixture::{Fixture, failure, json, unique};
use crate::verdict::{Verdict, equal};

/// Decides `event`, applies it, and compares the whole stored task with what the change makes of the one before.
pub(super) async fn row(f: &mut Fixture, task: &Task, event: Event, state: State) -> Verdict<Task> {
    row_edit(f, task, event, state, Took::Primary, |change| &change.to).await
}

pub(super) async fn row_edit(
    f: &mut Fixture,
    task: &Task,
    event: Event,
    state: State,
    took: Took,
    target: impl FnOnce(&Change) -> &Target,
) -> Verdict<Task> {
    let what = format!("{event:?} of a {} task", task.state);
    f.advance(Duration::from_millis(250));
    let mut wanted = f.detail(task.id).await?;
    equal("L6", "the record before the event", &wanted.task, task)?;
    let edit = f.decide(task, event);
    let Action::Set(change) = &edit.action else {
        panic!("the row is a change")
    };
    target(change).write_to(&mut wanted, f.now());
    let done = Applied::Done {
        inserted: vec![],
        took,
    };
    equal("L6", &what, f.apply(&edit).await?, done)?;
    let after = f.detail(task.id).await?;
    equal("L6", &format!("the stored task after {what}"), &after, &wanted)?;
    equal("L6", &format!("the state after {what}"), after.task.state, state)?;
    Ok(after.task)
}

pub(super) fn keyed(f: &mut Fixture) -> NewTask {
    let settings = Settings {
        max_attempts: Some(3),
        expires_at: Some(f.after(9_000)),
        deadline_after: Some(Duration::from_secs(100)),
        ..Settings::default()
    };
    NewTask {
        settings,
        ..f.keyed(unique("k"))
    }
}

/// L6: succeed, with and without output.
pub async fn succeed(f: &mut Fixture) -> Verdict {
    for output in [None, Some(json("{ \"n\": 1 }"))] {
        let new = keyed(f);
        let task = f.running(&new).await?;
        let via_fallback = output.is_some();
        row(
            f,
            &task,
            Event::Succeed { output, via_fallback },
            State::Succeeded,
        )
        .await?;
    }
    Ok(())
}

/// L6: with a retention of zero a success deletes the row; its inserts stay.
pub async fn succeed_and_forget(f: &mut Fixture) -> Verdict {
    let retention = Retention {
        succeeded: Some(Duration::ZERO),
        ..Retention::default()
    };
    let settings = Settings {
        retention,
        ..Settings::default()
    };
    let new = NewTask {
        settings,
        ..f.keyed(unique("k"))
    };
    let task = f.running(&new).await?;
    let next = f.keyed(unique("k"));
    let edit = Edit {
        insert: vec![next.clone()],
        ..f.decide(&task, Fixture::success())
    };
    let applied = f.apply(&edit).await?;
    let inserted = vec![retry_core::store::Inserted::New { leased: false }];
    equal(
        "L8",
        "a success that is not kept",
        applied,
        Applied::Done {
            inserted,
            took: Took::Primary,
        },
    )?;
    equal("L6", "the deleted task", f.get(task.id).await?, None)?;
    equal(
        "L10",
        "the same edit again",
        f.apply(&edit).await?,
        Applied::Missing,
    )?;
    equal(
        "L8",
        "the task it inserted",
        f.task_now(next.id).await?.state,
        State::Pending,
    )
}

/// L6, L7: retry, and retry with the attempts used up.
pub async fn retry(f: &mut Fixture) -> Verdict {
    let new = keyed(f);
    let mut task = f.running(&new).await?;
    let session = f.open().await?;
    for state in [State::Pending, State::Pending, State::Failed] {
        let at = f.after(1);
        let failure = failure(&task, "no: \"é\"", f.now());
        row(f, &task, Event::Retry { at, failure }, state).await?;
        if state == State::Pending {
            f.advance(Duration::from_secs(2));
            task = f.claim_task(session, &new).await?;
        }
    }
    Ok(())
}

/// L6: fail.
pub async fn fail(f: &mut Fixture) -> Verdict {
    let new = keyed(f);
    let task = f.running(&new).await?;
    let failure = failure(&task, "stop", f.now());
    row(f, &task, Event::Fail { failure }, State::Failed).await?;
    Ok(())
}

/// L6, L7: snooze and continue give the attempt back.
pub async fn snooze_and_continue(f: &mut Fixture) -> Verdict {
    let new = keyed(f);
    let task = f.running(&new).await?;
    let at = f.after(3);
    let task = row(f, &task, Event::Snooze { at }, State::Pending).await?;
    equal("L7", "the attempt after a snooze", task.attempt, 0)?;
    f.advance(Duration::from_secs(5));
    let session = f.open().await?;
    let task = f.claim_task(session, &new).await?;
    let at = f.after(3);
    let task = row(
        f,
        &task,
        Event::Continue {
            at,
            checkpoint: json("{\"p\": 1}"),
        },
        State::Pending,
    )
    .await?;
    equal("L7", "the attempt after a continue", task.attempt, 0)
}

/// L6: a checkpoint raises the version and keeps the lease.
pub async fn checkpoint(f: &mut Fixture) -> Verdict {
    let new = keyed(f);
    let mut task = f.running(&new).await?;
    for text in ["1", "{ \"a\" : 2 }"] {
        task = row(
            f,
            &task,
            Event::Checkpoint {
                checkpoint: json(text),
            },
            State::Running,
        )
        .await?;
    }
    row(f, &task, Fixture::success(), State::Succeeded).await?;
    Ok(())
}

/// L6, L7: an attempt that failed is recorded under the same lease, and a task that is put back keeps its place.
pub async fn retry_in_place_and_put_back(f: &mut Fixture) -> Verdict {
    let new = keyed(f);
    let task = f.running(&new).await?;
    f.advance(Duration::from_secs(5));
    let failure = failure(&task, "no: \"é\"", f.now());
    let again = row(f, &task, Event::RetryInPlace { failure }, State::Running).await?;
    equal(
        "L7",
        "the attempt after a retry in place",
        again.attempt,
        task.attempt + 1,
    )?;
    equal("L6", "its session", again.session, task.session)?;
    let back = row(f, &again, Event::PutBack, State::Pending).await?;
    equal(
        "L7",
        "the attempt of what is put back",
        back.attempt,
        task.attempt,
    )?;
    equal("L6", "its place", back.run_at, task.run_at)?;
    let session = f.open().await?;
    let claimed = f.claim_task(session, &new).await?;
    equal("L7", "its next attempt", claimed.attempt, task.attempt + 1)
}

pub(super) async fn waiting(f: &mut Fixture, on_wait_deadline: OnWaitDeadline) -> Verdict<Task> {
    let new = keyed(f);
    let settings = Settings {
        on_wait_deadline,
        ..new.settings.clone()
    };
    let task = f.running(&NewTask { settings, ..new }).await?;
    let deadline = f.after(30);
    row(f, &task, Event::Wait { deadline }, State::Waiting).await
}

/// L6: wait, and each kind of completion.
pub async fn wait_and_complete(f: &mut Fixture) -> Verdict {
    let at = f.after(40);
    for (outcome, state) in [
        (
            CompletionOutcome::Resume(json("{ \"ok\": true }")),
            State::Pending,
        ),
        (CompletionOutcome::Succeed(Some(json("7"))), State::Succeeded),
        (CompletionOutcome::Succeed(None), State::Succeeded),
        (CompletionOutcome::Fail(ErrorText::new("declined")), State::Failed),
        (
            CompletionOutcome::Retry {
                at,
                error: ErrorText::new("later"),
            },
            State::Pending,
        ),
    ] {
        let task = waiting(f, OnWaitDeadline::Resume).await?;
        let task = row(f, &task, Event::Complete { outcome }, state).await?;
        if !task.state.is_final() {
            row(f, &task, Event::Cancel, State::Cancelled).await?;
        }
    }
    Ok(())
}

/// L6: the wait deadline resumes or fails.
pub async fn wait_deadline(f: &mut Fixture) -> Verdict {
    for (rule, state) in [
        (OnWaitDeadline::Fail, State::Failed),
        (OnWaitDeadline::Resume, State::Pending),
    ] {
        let task = waiting(f, rule).await?;
        f.advance(Duration::from_secs(30));
        row(f, &task, Event::WaitDeadline, state).await?;
    }
    Ok(())
}

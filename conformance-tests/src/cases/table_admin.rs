//! The rows of the state table that operators and rescuers use, applied: the stored task is exactly what the change makes of it.

use std::time::Duration;

use retry_core::machine::{AdminEdit, Event};
use retry_core::store::{Applied, Took};
use retry_core::task::{FailedChildren, NewTask, OnWaitDeadline, Settings, State};

use super::table::{keyed, row, row_edit, waiting};
use crate::fixture::{Fixture, json, unique};
use crate::verdict::{Verdict, equal};

/// L6: a lost lease counts a crash, until the budget is used up.
pub async fn lease_lost(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let mut task = f.running(&new).await?;
    let session = f.open().await?;
    for (crashes, state) in [(1, State::Pending), (2, State::Pending), (3, State::Failed)] {
        let lost = Event::LeaseLost {
            process_dead: crashes == 2,
        };
        let after = row(f, &task, lost, state).await?;
        equal("L9", "the crashes counted", after.crashes, crashes)?;
        if state == State::Pending {
            f.advance(Duration::from_secs(5));
            task = f.claim_task(session, &new).await?;
        }
    }
    Ok(())
}

/// L6: an overrun deadline is a retry, not a crash.
pub async fn deadline_passed(f: &mut Fixture) -> Verdict {
    let new = keyed(f);
    let task = f.running(&new).await?;
    f.advance(Duration::from_secs(100));
    let after = row(f, &task, Event::DeadlinePassed, State::Pending).await?;
    equal("L7", "the crashes after a deadline", after.crashes, 0)
}

/// L6: a task past its start deadline is cancelled, pending or just claimed.
pub async fn expire(f: &mut Fixture) -> Verdict {
    for claimed in [false, true] {
        let new = keyed(f);
        let mut task = f.insert_new(&new).await?;
        if claimed {
            let session = f.open().await?;
            task = f.claim_task(session, &new).await?;
        }
        f.advance(Duration::from_secs(9_000));
        row(f, &task, Event::Expire, State::Cancelled).await?;
    }
    Ok(())
}

/// L6: cancel of a pending and of a waiting task.
pub async fn cancel(f: &mut Fixture) -> Verdict {
    let new = keyed(f);
    let task = f.insert_new(&new).await?;
    row(f, &task, Event::Cancel, State::Cancelled).await?;
    let task = waiting(f, OnWaitDeadline::Resume).await?;
    row(f, &task, Event::Cancel, State::Cancelled).await?;
    Ok(())
}

/// L6, L7: rerun of every final state, in the same step and from the start.
pub async fn rerun(f: &mut Fixture) -> Verdict {
    for from_start in [false, true] {
        let new = keyed(f);
        let task = f.insert_new(&new).await?;
        let task = row(f, &task, Event::Cancel, State::Cancelled).await?;
        let at = f.after(2);
        let task = row(f, &task, Event::Rerun { at, from_start }, State::Pending).await?;
        equal(
            "L7",
            "its attempt and reruns",
            (task.attempt, task.reruns),
            (0, 1),
        )?;
        f.advance(Duration::from_secs(3));
        let task = f.end(&new, from_start).await?;
        let task = row(f, &task, Event::Rerun { at, from_start }, State::Pending).await?;
        equal(
            "L7",
            "its attempt and reruns",
            (task.attempt, task.reruns),
            (0, 2),
        )?;
        row(f, &task, Event::Cancel, State::Cancelled).await?;
    }
    Ok(())
}

/// L6: reschedule and edit of a pending task.
pub async fn reschedule_and_edit(f: &mut Fixture) -> Verdict {
    let new = keyed(f);
    let task = f.insert_new(&new).await?;
    let at = f.after(77);
    let task = row(f, &task, Event::Reschedule { at }, State::Pending).await?;
    let at = f.now().saturating_sub(Duration::from_secs(9));
    let task = row(f, &task, Event::Reschedule { at }, State::Pending).await?;
    let mut headers = retry_core::headers::Headers::new();
    let inserted = headers.insert("a", "b ");
    inserted.unwrap_or_else(|error| panic!("the case's header is wrong: {error}"));
    for edit in [
        AdminEdit {
            payload: Some(json("[ ]")),
            headers: None,
        },
        AdminEdit {
            payload: None,
            headers: Some(headers),
        },
    ] {
        let task = f.task_now(task.id).await?;
        row(f, &task, Event::Edit(edit), State::Pending).await?;
    }
    Ok(())
}

/// L8: a split without an open child goes on at once; release lets a parent on hold go on.
pub async fn split_and_release(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let task = f.running(&new).await?;
    row_edit(
        f,
        &task,
        Event::Split { checkpoint: None },
        State::Pending,
        Took::NoneOpen,
        |change| change.if_none_open.as_deref().unwrap_or(&change.to),
    )
    .await?;
    let settings = Settings {
        on_failed_children: FailedChildren::Hold,
        ..Settings::default()
    };
    let new = NewTask { settings, ..f.task() };
    let (_, children) = f.joining(&new, 1).await?;
    f.end(&children[0], false).await?;
    let held = f.task_now(new.id).await?;
    equal("L8", "a parent that holds", held.state, State::Joining)?;
    row(f, &held, Event::Release, State::Pending).await?;
    Ok(())
}

/// L6: delete forgets an ended task with its history.
pub async fn delete(f: &mut Fixture) -> Verdict {
    let new = f.keyed(unique("k"));
    let task = f.failed(&new).await?;
    let edit = f.decide(&task, Event::Delete);
    equal(
        "L6",
        "a delete of a failed task",
        f.apply(&edit).await?,
        Applied::DONE,
    )?;
    equal("L6", "the deleted task", f.get(task.id).await?, None)?;
    equal(
        "L10",
        "the same delete again",
        f.apply(&edit).await?,
        Applied::Missing,
    )
}

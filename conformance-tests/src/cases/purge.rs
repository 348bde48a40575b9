//! Purge: only what has ended and is due, and never what a parent or a repeated insert still needs.

use std::time::Duration;

use retry_core::limits::{PURGE_CHILD_DELAY, RESEND_WINDOW};
use retry_core::machine::Event;
use retry_core::store::Inserted;
use retry_core::task::{FailedChildren, NewTask, Retention, Settings, State};

use crate::fixture::Fixture;
use crate::verdict::{Verdict, equal};

fn kept(f: &mut Fixture, span: Duration) -> NewTask {
    let retention = Retention {
        succeeded: Some(span),
        failed: Some(span),
        cancelled: Some(span),
    };
    NewTask {
        settings: Settings {
            retention,
            ..Settings::default()
        },
        ..f.task()
    }
}

/// L1: an ended task is kept for its retention, to the millisecond.
pub async fn an_ended_task_is_kept_for_its_time(f: &mut Fixture) -> Verdict {
    let new = kept(f, Duration::from_hours(3));
    f.failed(&new).await?;
    f.advance(Duration::from_hours(3) - Duration::from_millis(1));
    equal("L1", "a purge one millisecond early", f.purge(9).await?, 0)?;
    f.advance(Duration::from_millis(1));
    equal("L1", "a purge on time", f.purge(9).await?, 1)?;
    equal("L1", "the purged task", f.get(new.id).await?, None)?;
    equal("L10", "a purge again", f.purge(9).await?, 0)
}

/// L1, L10: nothing is purged within the window in which its insert may be sent again.
pub async fn the_resend_window_is_kept(f: &mut Fixture) -> Verdict {
    let new = kept(f, Duration::from_millis(1));
    let task = f.insert_new(&new).await?;
    f.settled(&task, Event::Cancel).await?;
    f.advance(RESEND_WINDOW - Duration::from_millis(1));
    equal("L1", "a purge within the window", f.purge(9).await?, 0)?;
    let answers = f.insert(std::slice::from_ref(&new)).await?;
    equal("L10", "the insert again", answers, vec![Inserted::Repeated])?;
    f.advance(Duration::from_millis(1));
    equal("L1", "a purge after the window", f.purge(9).await?, 1)
}

/// L1: tasks that have not ended, and those kept for ever, are never purged.
pub async fn live_tasks_are_never_purged(f: &mut Fixture) -> Verdict {
    let pending = f.task();
    let running = f.running_task().await?;
    f.insert_new(&pending).await?;
    let retention = Retention {
        succeeded: None,
        failed: None,
        cancelled: None,
    };
    let settings = Settings {
        retention,
        ..Settings::default()
    };
    let forever = NewTask { settings, ..f.task() };
    f.failed(&forever).await?;
    f.advance(Duration::from_hours(24 * 365));
    equal("L1", "a purge after a year", f.purge(1_000).await?, 0)?;
    for (id, state) in [
        (pending.id, State::Pending),
        (running.id, State::Running),
        (forever.id, State::Failed),
    ] {
        equal("L1", "a task after it", f.task_now(id).await?.state, state)?;
    }
    Ok(())
}

/// L13: a purge takes at most its limit and gets on with every call.
pub async fn a_purge_keeps_its_limit(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(5);
    f.insert(&tasks).await?;
    for new in &tasks {
        let task = f.task_now(new.id).await?;
        f.settled(&task, Event::Cancel).await?;
    }
    f.advance(Duration::from_hours(48));
    let mut purged = Vec::new();
    for limit in [0, 2, 2, 2, 2] {
        purged.push(f.purge(limit).await?);
    }
    equal(
        "L13",
        "purges of 0, 2, 2, 2 and 2 of five tasks",
        purged,
        vec![0, 2, 2, 1, 0],
    )
}

/// L8: a child is put off while its parent has not ended, and purged after it.
pub async fn a_child_waits_for_its_parent(f: &mut Fixture) -> Verdict {
    let settings = Settings {
        on_failed_children: FailedChildren::Hold,
        ..Settings::default()
    };
    let new = NewTask { settings, ..f.task() };
    let (parent, children) = f.joining(&new, 1).await?;
    let child = f.end(&children[0], false).await?;
    f.advance(Duration::from_hours(24 * 31));
    equal("L8", "a purge while the parent waits", f.purge(9).await?, 0)?;
    let put_off = f.task_now(child.id).await?;
    let at = f.now().saturating_add(PURGE_CHILD_DELAY);
    equal("L8", "when the child is due again", put_off.purge_at, Some(at))?;
    equal(
        "L8",
        "its version and end",
        (put_off.version, put_off.updated_at),
        (child.version, child.updated_at),
    )?;
    let parent = f.task_now(parent.id).await?;
    f.settled(&parent, Event::Cancel).await?;
    equal(
        "L8",
        "a purge before the child is due again",
        f.purge(9).await?,
        0,
    )?;
    f.advance(PURGE_CHILD_DELAY);
    equal("L8", "a purge after the parent's end", f.purge(9).await?, 1)?;
    equal("L8", "the child", f.get(child.id).await?, None)
}

/// L8: children that are put off do not keep a purge from what is behind them.
pub async fn a_child_put_off_blocks_nothing(f: &mut Fixture) -> Verdict {
    let settings = Settings {
        on_failed_children: FailedChildren::Hold,
        ..Settings::default()
    };
    let new = NewTask { settings, ..f.task() };
    let (_, children) = f.joining(&new, 3).await?;
    for child in &children {
        f.end(child, false).await?;
    }
    f.advance(Duration::from_secs(1));
    let plain = f.task();
    f.failed(&plain).await?;
    f.advance(Duration::from_hours(24 * 31));
    let mut purged = 0;
    for _ in 0..4 {
        purged += f.purge(1).await?;
    }
    equal(
        "L13",
        "four purges of one, with three children to put off",
        purged,
        1,
    )?;
    equal("L13", "the task behind them", f.get(plain.id).await?, None)
}

//! Crash and reopen: whatever was answered with Ok is there.

use std::time::Duration;

use retry_core::machine::Event;
use retry_core::store::{Applied, Inserted, QueueSetting, Renewed};
use retry_core::task::{Completion, CompletionOutcome, Edit, NewTask, State};

use super::claim::ids;
use crate::fixture::{Fixture, completion_edit, failure, json, queue, unique};
use crate::verdict::{Verdict, equal};

/// L1: inserted tasks are there after a crash, whole.
pub async fn inserts_survive(f: &mut Fixture) -> Verdict {
    let tasks: Vec<NewTask> = (0..50).map(|n| f.keyed(unique(&format!("k{n}")))).collect();
    f.insert(&tasks).await?;
    let before = f.detail(tasks[7].id).await?;
    f.reopen().await;
    let answers = f.insert(&tasks).await?;
    equal(
        "L1",
        "the same insert again",
        answers,
        vec![Inserted::Repeated; 50],
    )?;
    equal("L1", "an inserted task", f.detail(tasks[7].id).await?, before)?;
    let clash = f.keyed(unique("k3"));
    let wanted = Inserted::Duplicate {
        holder: tasks[3].id,
        state: State::Pending,
    };
    equal(
        "L2",
        "a duplicate after the crash",
        f.insert(&[clash]).await?,
        vec![wanted],
    )
}

/// L7: an attempt that was claimed stays counted, and its settle is accepted.
pub async fn claims_survive(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    f.reopen().await;
    equal("L7", "a claimed task", f.task_now(task.id).await?, task.clone())?;
    let other = f.open().await?;
    let claimed = f.claim(&f.request(other, 9)).await?;
    equal("L3", "another session's claim", ids(&claimed), vec![])?;
    equal(
        "L6",
        "its settle",
        f.settle(&task, Fixture::success()).await?,
        Applied::DONE,
    )
}

/// L10: settles survive with their nonces, inserts and history.
pub async fn settles_survive(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    let at = f.after(60);
    let failure = failure(&task, " 'no' ", f.now());
    let follow_up = f.brought_by(task.id);
    let retry = f.decide(&task, Event::Retry { at, failure });
    let edit = Edit {
        insert: vec![follow_up.clone()],
        ..retry
    };
    f.apply_done(&edit).await?;
    let before = f.detail(task.id).await?;
    f.reopen().await;
    equal("L10", "the retried task", f.detail(task.id).await?, before)?;
    equal(
        "L8",
        "the task it inserted",
        f.task_now(follow_up.id).await?.state,
        State::Pending,
    )?;
    equal(
        "L10",
        "the same settle again",
        f.apply(&edit).await?,
        Applied::Repeated,
    )
}

/// L8, L12: parents with their counters, completions and checkpoints survive.
pub async fn everything_kept_survives(f: &mut Fixture) -> Verdict {
    let new = f.task();
    let (parent, children) = f.joining(&new, 3).await?;
    f.end(&children[0], false).await?;
    let waiting = f.running_task().await?;
    let early = Completion {
        step: 0,
        outcome: CompletionOutcome::Resume(json(" [1] ")),
    };
    let nonce = f.nonce();
    f.apply(&completion_edit(&waiting, nonce, early)).await?;
    let task = f.running_task().await?;
    let at = f.after(1);
    f.settled(
        &task,
        Event::Continue {
            at,
            checkpoint: json("{ }"),
        },
    )
    .await?;
    let mut before = Vec::new();
    let ids = [parent.id, children[0].id, children[1].id, waiting.id, task.id];
    for id in ids {
        before.push(f.detail(id).await?);
    }
    f.reopen().await;
    for (id, before) in ids.into_iter().zip(before) {
        equal("L12", "a task after the crash", f.detail(id).await?, before)?;
    }
    Ok(())
}

/// L15, L9: pauses and lost sessions survive.
pub async fn settings_survive(f: &mut Fixture) -> Verdict {
    let new = f.task();
    f.insert_new(&new).await?;
    let closed = f.open().await?;
    f.claim_task(closed, &new).await?;
    f.close(closed).await?;
    f.set_queue(&queue("default"), QueueSetting::Pause).await?;
    f.reopen().await;
    equal(
        "L9",
        "a renewal of a closed session",
        f.renew(closed).await?,
        Renewed::Lost,
    )?;
    let request = retry_core::store::ExpiredRequest {
        mark: false,
        after: None,
        limit: 9,
    };
    let expired = f.expired(&request).await?;
    let given: Vec<_> = expired.items.iter().map(|(task, _)| task.id).collect();
    equal("L9", "its task, reported", given, vec![new.id])?;
    let session = f.open().await?;
    let other = f.task();
    f.insert_new(&other).await?;
    let claimed = f.claim(&f.request(session, 9)).await?;
    equal("L15", "a claim from the paused queue", ids(&claimed), vec![])
}

/// L1: deletes and purges survive too: nothing comes back.
pub async fn the_forgotten_stays_forgotten(f: &mut Fixture) -> Verdict {
    let (deleted, purged) = (f.task(), f.task());
    let task = f.failed(&deleted).await?;
    f.settle(&task, Event::Delete).await?;
    f.succeeded(&purged).await?;
    f.advance(Duration::from_hours(24));
    equal("L1", "a purge", f.purge(9).await?, 1)?;
    f.reopen().await;
    for new in [deleted, purged] {
        equal("L1", "a forgotten task", f.get(new.id).await?, None)?;
    }
    Ok(())
}

/// L1: many crashes between writes lose nothing.
pub async fn crashes_between_writes_lose_nothing(f: &mut Fixture) -> Verdict {
    let mut ended = Vec::new();
    for _ in 0..5 {
        let (a, b) = (f.task(), f.task());
        f.insert(&[a.clone(), b]).await?;
        f.reopen().await;
        let there = f.get(a.id).await?.is_some();
        equal(
            "L1",
            "whether a task inserted before the crash is there",
            there,
            true,
        )?;
        ended.push(f.end(&a, true).await?);
        f.reopen().await;
    }
    for task in ended {
        equal("L1", "an ended task", f.task_now(task.id).await?, task)?;
    }
    let counts = f.count(&retry_core::store::CountScope::default()).await?;
    equal("L1", "the tasks left", counts.of(State::Pending), 5)
}

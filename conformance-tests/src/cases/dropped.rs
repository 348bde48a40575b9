//! Calls whose future is dropped: done or not done, and nothing left open.

use futures_util::FutureExt as _;
use retry_core::id::TaskId;
use retry_core::machine::Event;
use retry_core::store::{Applied, ClaimRequest, Inserted};
use retry_core::task::{State, Task};

use crate::fixture::{Fixture, unique};
use crate::verdict::{Verdict, equal, holds};

/// How often a call is polled before it is dropped; later polls find most calls ended.
const POLLS: usize = 6;

/// L10: a dropped insert, sent again, is one task.
pub async fn a_dropped_insert_converges(f: &mut Fixture) -> Verdict {
    for polls in 0..POLLS {
        let new = f.task();
        let store = f.store();
        let tasks = std::slice::from_ref(&new);
        poll_and_drop(store.insert(tasks, f.now()), polls).await;
        let answer = f.insert(tasks).await?;
        let right = matches!(answer[0], Inserted::New { leased: false } | Inserted::Repeated);
        holds(
            "L10",
            "an insert after its first copy was dropped",
            right,
            &answer,
            "New or Repeated",
        )?;
        equal(
            "L10",
            "the insert again",
            f.insert(tasks).await?,
            vec![Inserted::Repeated],
        )?;
    }
    Ok(())
}

/// L10: a dropped settle, sent again, is written once.
pub async fn a_dropped_settle_converges(f: &mut Fixture) -> Verdict {
    for polls in 0..POLLS {
        let task = f.running_task().await?;
        let at = f.after(60);
        let edit = f.decide(&task, Event::Snooze { at });
        let store = f.store();
        let edits = std::slice::from_ref(&edit);
        poll_and_drop(store.exchange(edits, &[], f.now()), polls).await;
        let answer = f.apply(&edit).await?;
        let right = matches!(answer, Applied::Done { .. } | Applied::Repeated);
        holds(
            "L10",
            "a settle after its first copy was dropped",
            right,
            &answer,
            "Done or Repeated",
        )?;
        let now = f.task_now(task.id).await?;
        equal(
            "L10",
            "the task",
            (now.state, now.version),
            (State::Pending, task.version + 1),
        )?;
    }
    Ok(())
}

/// L10: a dropped claim takes its task or leaves it, soon or a little later, and locks nothing.
pub async fn a_dropped_claim_locks_nothing(f: &mut Fixture) -> Verdict {
    for polls in 0..POLLS {
        let new = f.task();
        f.insert_new(&new).await?;
        let session = f.open().await?;
        let store = f.store();
        let claims = [f.request(session, 1)];
        poll_and_drop(store.exchange(&[], &claims, f.now()), polls).await;
        let task = claimed_by_either(f, &claims[0], new.id).await?;
        let holder = (task.state, task.session);
        equal(
            "L10",
            "a task that was claimed again after a dropped claim",
            holder,
            (State::Running, Some(session)),
        )?;
        f.settled(&task, Fixture::success()).await?;
    }
    Ok(())
}

/// Claims until the task runs: by this claim, or by the dropped one, which the store may still be busy with.
async fn claimed_by_either(f: &Fixture, request: &ClaimRequest, id: TaskId) -> Verdict<Task> {
    for _ in 0..1_000 {
        f.claim(request).await?;
        let task = f.task_now(id).await?;
        if task.state != State::Pending {
            return Ok(task);
        }
        tokio::task::yield_now().await;
    }
    f.task_now(id).await
}

async fn poll_and_drop<T>(call: impl Future<Output = T>, polls: usize) {
    let mut call = Box::pin(call);
    for _ in 0..polls {
        if (&mut call).now_or_never().is_some() {
            return;
        }
        // Lets the store's own tasks get on, so that later polls meet later stages of the call.
        tokio::task::yield_now().await;
    }
}

/// L1, L10: a dropped insert of several tasks stored all of them or none.
pub async fn a_dropped_insert_is_all_or_nothing(f: &mut Fixture) -> Verdict {
    for polls in 0..POLLS {
        let tasks = f.tasks(4);
        poll_and_drop(f.store().insert(&tasks, f.now()), polls).await;
        let answers = f.insert(&tasks).await?;
        let right = answers.iter().all(|answer| *answer == answers[0]);
        holds(
            "L10",
            &format!("an insert of four tasks after its first copy was dropped at poll {polls}"),
            right,
            &answers,
            "all New, or all Repeated",
        )?;
    }
    Ok(())
}

/// L2, L10: a dropped insert holds its key only if its task is there.
pub async fn a_dropped_insert_holds_no_key_alone(f: &mut Fixture) -> Verdict {
    for polls in 0..POLLS {
        let keyed = |f: &mut Fixture| f.keyed(unique(&format!("k{polls}")));
        let (first, second) = (keyed(f), keyed(f));
        poll_and_drop(f.store().insert(std::slice::from_ref(&first), f.now()), polls).await;
        let answers = f.insert(std::slice::from_ref(&second)).await?;
        let right = match answers[0] {
            Inserted::New { .. } => true,
            Inserted::Duplicate { holder, .. } => holder == first.id && f.get(first.id).await?.is_some(),
            _ => false,
        };
        holds(
            "L2",
            "an insert with the key of a dropped one",
            right,
            &answers,
            "New, or a duplicate of the first task, which is there",
        )?;
    }
    Ok(())
}

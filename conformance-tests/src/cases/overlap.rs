//! What callers who overlap see of each other.

use std::sync::Arc;

use futures_util::future::join;
use retry_core::machine::Event;
use retry_core::store::{Applied, Result, TaskStore, TaskStoreExt as _};
use retry_core::task::{NewTask, Retention, Settings, State};

use super::claim::ids;
use super::race::{apply, at_once};
use crate::fixture::{Fixture, json};
use crate::verdict::{Verdict, equal, holds};

/// L3: two claimers of n over 2n due tasks get 2n together: neither hides more than it takes.
pub async fn claimers_hide_nothing(f: &mut Fixture) -> Verdict {
    for n in [1, 3, 20, 100] {
        let tasks = f.tasks(2 * n);
        f.insert(&tasks).await?;
        let mut jobs = Vec::new();
        for _ in 0..2 {
            let session = f.open().await?;
            let (store, request, now) = (f.store(), f.request(session, n), f.now());
            jobs.push(move || {
                let (store, request) = (Arc::clone(&store), request.clone());
                async move { store.claim(request, now).await }
            });
        }
        let answers = at_once("two claims at once", jobs).await?;
        let given: usize = answers.iter().map(|claimed| ids(claimed).len()).sum();
        equal(
            "L3",
            &format!("tasks that two claimers of {n} got of {}", 2 * n),
            given,
            2 * n,
        )?;
    }
    Ok(())
}

/// L11: a task that moves from state to state is there at every moment.
pub async fn a_moving_task_is_never_absent(f: &mut Fixture) -> Verdict {
    let mut task = f.running_task().await?;
    let session = task
        .session
        .unwrap_or_else(|| unreachable!("a claimed task has a session"));
    for round in 0..20 {
        let at = f.now();
        let snooze = f.decide(&task, Event::Snooze { at });
        let (store, claims, now) = (f.store(), [f.request(session, 1)], f.now());
        let edits = [snooze];
        let looks = async {
            let mut found = Vec::new();
            for _ in 0..10 {
                found.push(store.get(task.id).await);
                tokio::task::yield_now().await;
            }
            found
        };
        let (moved, found) = join(store.exchange(&edits, &claims, now), looks).await;
        f.answered("settle and claim".to_owned(), moved)?;
        for found in found {
            let found = f.answered("get beside a settle".to_owned(), found)?;
            holds("L11", "a get beside a settle", found.is_some(), round, "the task")?;
        }
        task = f.task_now(task.id).await?;
        equal(
            "L7",
            "the task after it",
            (task.state, task.attempt),
            (State::Running, 1),
        )?;
    }
    Ok(())
}

/// L1, L6: a purge and a rerun at once: forgotten and not rerun, or rerun and there.
pub async fn a_purge_and_a_rerun_agree(f: &mut Fixture) -> Verdict {
    let retention = Retention {
        failed: Some(std::time::Duration::from_secs(1)),
        ..Retention::default()
    };
    let mut ended = Vec::new();
    for _ in 0..20 {
        let settings = Settings {
            retention,
            ..Settings::default()
        };
        let new = NewTask { settings, ..f.task() };
        ended.push(f.failed(&new).await?);
    }
    f.advance(std::time::Duration::from_hours(1));
    let mut jobs = Vec::new();
    for task in &ended {
        let (at, from_start) = (f.now(), true);
        let rerun = f.decide(task, Event::Rerun { at, from_start });
        let (store, now) = (f.store(), f.now());
        jobs.push(move || apply(Arc::clone(&store), rerun.clone(), now));
    }
    let (store, now) = (f.store(), f.now());
    let purging = tokio::spawn(async move { purge_all(store, now).await });
    let reruns = at_once("reruns beside a purge", jobs).await?;
    let purged = purging
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    f.answered("purge beside reruns".to_owned(), purged)?;
    for (task, applied) in ended.iter().zip(reruns) {
        let found = f.get(task.id).await?.map(|detail| detail.task.state);
        let right = match applied {
            Applied::Done { .. } => found == Some(State::Pending),
            Applied::Missing => found.is_none(),
            _ => false,
        };
        holds(
            "L6",
            "a rerun beside a purge",
            right,
            (&applied, found),
            "Done and pending, or Missing and gone",
        )?;
    }
    Ok(())
}

async fn purge_all(store: Arc<dyn TaskStore>, now: retry_core::time::Timestamp) -> Result<()> {
    for _ in 0..5 {
        store.purge(now, 3).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// L11: what one handle has read does not keep it from seeing what the other writes.
pub async fn the_other_handle_sees_changes(f: &mut Fixture) -> Verdict {
    let peer = f.peer().await;
    let mut task = f.running_task().await?;
    for n in 0..4 {
        let found = f.answered("get, by the other handle".to_owned(), peer.get(task.id).await)?;
        equal(
            "L11",
            "what the other handle reads",
            found.map(|detail| detail.task),
            Some(task.clone()),
        )?;
        let checkpoint = json(&n.to_string());
        task = f.settled(&task, Event::Checkpoint { checkpoint }).await?;
    }
    Ok(())
}

//! What callers who overlap see of each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join;
use retry_core::machine::Event;
use retry_core::store::{
    Applied, ClaimRequest, ExpiredRequest, Result, SessionInfo, StoreErrorKind, TaskStore, TaskStoreExt as _,
};
use retry_core::task::{NewTask, Retention, Settings, State, Task};
use retry_core::time::Timestamp;

use super::claim::ids;
use super::race::{apply, at_once};
use crate::fixture::{Fixture, LEASE, json};
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
    let purging = [(); 3].map(|()| tokio::spawn(purge_all(f.store(), f.now())));
    let reruns = at_once("reruns beside purges", jobs).await?;
    for purging in purging {
        let purged = purging
            .await
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        f.answered("purges beside reruns".to_owned(), purged)?;
    }
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

async fn purge_all(store: Arc<dyn TaskStore>, now: Timestamp) -> Result<()> {
    for _ in 0..5 {
        patient(|| store.purge(now, 3)).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// L9: a session that opens and claims while a rescuer looks is neither lost nor missing: nothing is reported.
pub async fn a_new_session_is_not_missing(f: &mut Fixture) -> Verdict {
    const ROUNDS: usize = 25;
    const OPENERS: usize = 4;
    let tasks = f.tasks(ROUNDS * OPENERS);
    f.insert(&tasks).await?;
    let until = f.after(LEASE.as_secs());
    for _ in 0..ROUNDS {
        let (store, now) = (f.store(), f.now());
        let left = Arc::new(AtomicUsize::new(OPENERS));
        let looking = [false, true].map(|mark| {
            tokio::spawn(reported_until_none_is_left(
                f.store(),
                mark,
                now,
                Arc::clone(&left),
            ))
        });
        let mut jobs = Vec::new();
        for _ in 0..OPENERS {
            let info = f.session_info();
            let request = f.request(info.id, 1);
            let (store, left) = (Arc::clone(&store), Arc::clone(&left));
            jobs.push(move || {
                let call = open_and_claim(Arc::clone(&store), info.clone(), request.clone(), until, now);
                let left = Arc::clone(&left);
                async move {
                    let claimed = call.await;
                    left.fetch_sub(1, Ordering::AcqRel);
                    claimed
                }
            });
        }
        let claimed = at_once("sessions that open and claim", jobs).await?;
        equal("L9", "tasks that new sessions got", claimed, vec![1; OPENERS])?;
        for looked in looking {
            let looked = looked.await;
            let found = looked.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            let found = f.answered("expired, while sessions open and claim".to_owned(), found)?;
            let held: Vec<_> = found.iter().map(|task| (task.id, task.session)).collect();
            equal("L9", "tasks of live sessions, reported as lost", held, vec![])?;
        }
    }
    Ok(())
}

/// Opens a session and claims one task with it; answers how many it got. A claim may pass over what another one looks at, so
/// one empty answer does not mean that nothing is left.
async fn open_and_claim(
    store: Arc<dyn TaskStore>,
    info: SessionInfo,
    request: ClaimRequest,
    until: Timestamp,
    now: Timestamp,
) -> Result<usize> {
    patient(|| store.open_session(&info, until, now)).await?;
    for _ in 0..1_000 {
        let claimed = patient(|| store.claim(request.clone(), now)).await?;
        if !claimed.tasks.is_empty() {
            return Ok(claimed.tasks.len());
        }
    }
    Ok(0)
}

/// Looks for what is expired until all sessions are open, once at least; answers all that was reported.
async fn reported_until_none_is_left(
    store: Arc<dyn TaskStore>,
    mark: bool,
    now: Timestamp,
    left: Arc<AtomicUsize>,
) -> Result<Vec<Task>> {
    let request = ExpiredRequest {
        mark,
        after: None,
        limit: 1_000,
    };
    let mut reported = Vec::new();
    loop {
        let is_last = left.load(Ordering::Acquire) == 0;
        let expired = patient(|| store.expired(&request, now)).await?;
        reported.extend(expired.items.into_iter().map(|(task, _)| task));
        if is_last || !reported.is_empty() {
            return Ok(reported);
        }
        tokio::task::yield_now().await;
    }
}

/// Asks a busy store again: certainly nothing was written.
async fn patient<T, F>(call: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    loop {
        match call().await {
            Err(error) if error.kind() == StoreErrorKind::Busy => tokio::task::yield_now().await,
            answer => return answer,
        }
    }
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

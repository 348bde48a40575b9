//! Real concurrency: many callers at once, from several threads and, where the store allows it, several handles.

use std::sync::Arc;

use futures_util::future::join_all;
use retry_core::id::TaskId;
use retry_core::store::{
    Applied, Inserted, QueueSetting, Result, StoreError, StoreErrorKind, TaskStore, TaskStoreExt as _,
};
use retry_core::task::{Edit, NewTask, State};

use super::claim::ids;
use crate::fixture::{Fixture, queue, unique};
use crate::verdict::{Failure, Verdict, equal};

pub(super) const CALLERS: usize = 8;

/// Runs one job per caller, all at once, and gives their results in order. A busy store is asked again: under
/// contention that is an answer, and certainly nothing was written.
pub(super) async fn at_once<T, J, F>(what: &str, jobs: Vec<J>) -> Verdict<Vec<T>>
where
    T: Send + 'static,
    J: Fn() -> F + Send + 'static,
    F: Future<Output = Result<T>> + Send,
{
    let spawned = jobs.into_iter().map(|job| {
        tokio::spawn(async move {
            for _ in 0..1_000 {
                match job().await {
                    Err(error) if error.kind() == StoreErrorKind::Busy => tokio::task::yield_now().await,
                    answer => return answer,
                }
            }
            Err(StoreError::rejected(
                StoreErrorKind::Busy,
                "busy a thousand times",
            ))
        })
    });
    let mut answers = Vec::new();
    for ended in join_all(spawned).await {
        let answer = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        answers.push(answer.map_err(|error| Failure::call(what, &error))?);
    }
    Ok(answers)
}

/// L3: concurrent claimers together get every task once.
pub async fn claimers_share_no_task(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(200);
    f.insert(&tasks).await?;
    let mut jobs = Vec::new();
    for _ in 0..CALLERS {
        let session = f.open().await?;
        let (store, request, now) = (f.store(), f.request(session, 7), f.now());
        jobs.push(move || claim_all(Arc::clone(&store), request.clone(), now));
    }
    let given = at_once("concurrent claims", jobs).await?.concat();
    each_once(given, &tasks)
}

/// L3: claimers with handles of their own get every task once.
pub async fn claimers_on_two_handles_share_no_task(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(200);
    f.insert(&tasks).await?;
    let peer = f.peer().await;
    let mut jobs = Vec::new();
    for caller in 0..CALLERS {
        let session = f.open().await?;
        let store = if caller % 2 == 0 {
            f.store()
        } else {
            Arc::clone(&peer)
        };
        let (request, now) = (f.request(session, 7), f.now());
        jobs.push(move || claim_all(Arc::clone(&store), request.clone(), now));
    }
    let given = at_once("concurrent claims on two handles", jobs).await?.concat();
    each_once(given, &tasks)
}

pub(super) async fn claim_all(
    store: Arc<dyn TaskStore>,
    request: retry_core::store::ClaimRequest,
    now: retry_core::time::Timestamp,
) -> Result<Vec<TaskId>> {
    let mut given = Vec::new();
    // Rows that another claim holds may be skipped, so one empty answer does not mean that nothing is left.
    for _ in 0..1_000 {
        let answer = store.exchange(&[], std::slice::from_ref(&request), now).await;
        match answer {
            Err(error) if error.kind() == StoreErrorKind::Busy => tokio::task::yield_now().await,
            Err(error) => return Err(error),
            Ok(answer) => {
                let claimed = answer.claimed.into_iter().next().unwrap_or_default();
                if claimed.tasks.is_empty() && claimed.next_due.is_none() {
                    break;
                }
                given.extend(ids(&claimed));
            }
        }
    }
    Ok(given)
}

fn each_once(mut given: Vec<TaskId>, tasks: &[NewTask]) -> Verdict {
    given.sort_unstable();
    let mut wanted: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
    wanted.sort_unstable();
    let (given_count, twice) = (
        given.len(),
        given.windows(2).filter(|pair| pair[0] == pair[1]).count(),
    );
    equal("L3", "tasks given twice to concurrent claimers", twice, 0)?;
    equal(
        "L3",
        "tasks given to concurrent claimers",
        given_count,
        wanted.len(),
    )?;
    equal("L3", "which tasks they are", given == wanted, true)
}

/// L2: of concurrent inserts with one key one wins, and the others name it.
pub async fn one_insert_wins_a_key(f: &mut Fixture) -> Verdict {
    for round in 0..10 {
        let mut jobs = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..CALLERS {
            let new = f.keyed(unique(&format!("k{round}")));
            tasks.push(new.id);
            let (store, now) = (f.store(), f.now());
            jobs.push(move || insert_one(Arc::clone(&store), new.clone(), now));
        }
        let answers = at_once("concurrent inserts with one key", jobs).await?;
        let winners: Vec<TaskId> = tasks
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| matches!(answer, Inserted::New { .. }))
            .map(|(id, _)| *id)
            .collect();
        equal("L2", "the winners of a key", winners.len(), 1)?;
        let loser = Inserted::Duplicate {
            holder: winners[0],
            state: State::Pending,
        };
        let losers = answers.iter().filter(|answer| **answer == loser).count();
        equal("L2", "the others, who name the winner", losers, CALLERS - 1)?;
    }
    Ok(())
}

async fn insert_one(
    store: Arc<dyn TaskStore>,
    new: NewTask,
    now: retry_core::time::Timestamp,
) -> Result<Inserted> {
    store.insert_one(new, now).await
}

pub(super) async fn apply(
    store: Arc<dyn TaskStore>,
    edit: Edit,
    now: retry_core::time::Timestamp,
) -> Result<Applied> {
    store.apply(edit, now).await
}

/// L1, L10: an insert sent by several callers at once is one task.
pub async fn one_id_is_one_task(f: &mut Fixture) -> Verdict {
    for _ in 0..10 {
        let new = f.task();
        let mut jobs = Vec::new();
        for _ in 0..CALLERS {
            let (store, now, new) = (f.store(), f.now(), new.clone());
            jobs.push(move || insert_one(Arc::clone(&store), new.clone(), now));
        }
        let answers = at_once("one insert from many callers", jobs).await?;
        let repeated = answers
            .iter()
            .filter(|answer| **answer == Inserted::Repeated)
            .count();
        equal(
            "L1",
            "how many of the inserts were repeats",
            repeated,
            CALLERS - 1,
        )?;
    }
    Ok(())
}

/// L15: a claim that starts after a pause returned gets nothing, whatever other claims do.
pub async fn a_pause_stops_concurrent_claims(f: &mut Fixture) -> Verdict {
    let tasks = f.tasks(100);
    f.insert(&tasks).await?;
    let mut claimers = Vec::new();
    for _ in 0..4 {
        let session = f.open().await?;
        let (store, request, now) = (f.store(), f.request(session, 1), f.now());
        claimers.push(tokio::spawn(claim_all(store, request, now)));
    }
    f.set_queue(&queue("default"), QueueSetting::Pause).await?;
    let session = f.open().await?;
    let claimed = f.claim(&f.request(session, 10)).await?;
    equal("L15", "a claim after the pause returned", ids(&claimed), vec![])?;
    let mut given = Vec::new();
    for claimer in claimers {
        let ended = claimer
            .await
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        given.extend(f.answered("claims beside a pause".to_owned(), ended)?);
    }
    f.set_queue(&queue("default"), QueueSetting::Resume).await?;
    let rest = f.claim(&f.request(session, 1_000)).await?;
    given.extend(ids(&rest));
    each_once(given, &tasks)
}

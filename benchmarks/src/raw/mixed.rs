//! M and MB by hand: inserting while claiming and settling.

use std::sync::Arc;

use anyhow::{Result, ensure};
use retry_core::clock::{Clock as _, SystemClock};
use retry_core::store::TaskStore;
use retry_core::task::NewTask;

use super::Hand;
use crate::args::Run;
use crate::clock::Stopwatch;
use crate::full::{BATCH, PRODUCERS, verify};
use crate::job::{After, Job};
use crate::place::Place;
use crate::stats::Sample;

/// Inserts tasks one a call from concurrent producers.
pub(super) async fn insert_one_by_one(
    store: &Arc<dyn TaskStore>,
    tasks: Vec<NewTask>,
    producers: usize,
) -> Result<()> {
    let share = tasks.len().div_ceil(producers);
    let mut running = tokio::task::JoinSet::new();
    for part in tasks.chunks(share.max(1)) {
        let (store, part) = (Arc::clone(store), part.to_vec());
        running.spawn(async move {
            let clock = SystemClock::new();
            for task in &part {
                store.insert(std::slice::from_ref(task), clock.now()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

/// M: concurrent inserts of one task.
pub(super) async fn one_by_one(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let place = Place::fresh(run).await?;
    let mut hand = Hand::open(&place, run).await?;
    let tasks = hand.build(0..n, |number| Job::draft(number, After::Keep))?;
    let watch = Stopwatch::start();
    let producing = insert_one_by_one(place.store(), tasks, PRODUCERS);
    tokio::try_join!(producing, process(&hand, &place, n))?;
    let rate = watch.rate(n);
    verify(place.store(), n, After::Keep).await?;
    Ok(vec![Sample::rate("M", n, rate)])
}

/// MB: batches of inserts.
pub(super) async fn batches(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let place = Place::fresh(run).await?;
    let mut hand = Hand::open(&place, run).await?;
    let tasks = hand.build(0..n, |number| Job::draft(number, After::Keep))?;
    let watch = Stopwatch::start();
    let producing = async {
        for batch in tasks.chunks(BATCH) {
            hand.insert(batch).await?;
            // A store without I/O never waits: the other side gets its turn.
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    tokio::try_join!(producing, process(&hand, &place, n))?;
    let rate = watch.rate(n);
    verify(place.store(), n, After::Keep).await?;
    Ok(vec![Sample::rate("MB", n, rate)])
}

/// Claims and settles until `n` tasks are settled; waits for a wake-up when there is nothing to do.
async fn process(hand: &Hand, place: &Place, n: usize) -> Result<()> {
    let wakeups = place.store().watch(std::slice::from_ref(hand.queue()));
    let (mut settled, mut held) = (0, Vec::new());
    while settled < n {
        let claimed = hand.exchange(&held, BATCH).await?;
        settled += held.len();
        if claimed.is_empty() && held.is_empty() && settled < n {
            wakeups.next().await;
        }
        held = claimed;
    }
    ensure!(settled == n, "{settled} tasks were settled, not {n}");
    Ok(())
}

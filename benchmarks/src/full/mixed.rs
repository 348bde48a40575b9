//! M and MB: enqueueing while a worker processes.

use anyhow::Result;

use super::{PRODUCERS, enqueue, produce, verify, worker};
use crate::args::Run;
use crate::clock::Stopwatch;
use crate::job::{After, Progress};
use crate::place::Place;
use crate::stats::Sample;

/// M: concurrent producers, one task a call.
pub(super) async fn one_by_one(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let place = Place::fresh(run).await?;
    let progress = Progress::until(n);
    let handle = worker(place.store(), &progress, run)?.start();
    let watch = Stopwatch::start();
    produce(place.client(), n, PRODUCERS).await?;
    progress.reached().await;
    handle.shutdown().await;
    let rate = watch.rate(n);
    verify(place.store(), n, After::Keep).await?;
    Ok(vec![Sample::rate("M", n, rate)])
}

/// MB: the batch API.
pub(super) async fn batches(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let place = Place::fresh(run).await?;
    let progress = Progress::until(n);
    let handle = worker(place.store(), &progress, run)?.start();
    let watch = Stopwatch::start();
    enqueue(place.client(), 0, n, After::Keep).await?;
    progress.reached().await;
    handle.shutdown().await;
    let rate = watch.rate(n);
    verify(place.store(), n, After::Keep).await?;
    Ok(vec![Sample::rate("MB", n, rate)])
}

//! D and S: a worker drains what is waiting.

use anyhow::Result;

use super::{enqueue, verify, worker};
use crate::args::Run;
use crate::clock::Stopwatch;
use crate::job::{After, Progress};
use crate::place::Place;
use crate::raw::Hand;
use crate::stats::Sample;

/// How many tasks S drains, whatever the number waiting.
const SAMPLE: usize = 10_000;

/// D, with succeeded tasks kept and deleted.
pub(super) async fn both(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for after in After::ALL {
        let place = Place::fresh(run).await?;
        enqueue(place.client(), 0, n, after).await?;
        let watch = Stopwatch::start();
        drain(&place, run, n, after).await?;
        let name = format!("D.{}", after.text());
        samples.push(Sample::rate(name, n, watch.rate(n)));
    }
    Ok(samples)
}

/// Runs a worker until `n` tasks are handled and their outcomes are in the store.
pub(crate) async fn drain(place: &Place, run: &Run, n: usize, after: After) -> Result<()> {
    let progress = Progress::until(n);
    let handle = worker(place.store(), &progress, run)?.start();
    progress.reached().await;
    handle.shutdown().await;
    verify(place.store(), n, after).await
}

/// S: the rate of the first tasks drained, by what else the store holds.
pub(super) async fn sizes(run: &Run, most: usize) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (name, waiting) in [("S.10k", SAMPLE), ("S.200k", most / 5), ("S.1M", most)] {
        let place = Place::fresh(run).await?;
        enqueue(place.client(), 0, waiting.max(SAMPLE), After::Keep).await?;
        let rate = first(&place, run).await?;
        samples.push(Sample::rate(name, waiting.max(SAMPLE), rate));
    }
    let place = Place::fresh(run).await?;
    Hand::open(&place, run).await?.finish(most).await?;
    enqueue(place.client(), 0, SAMPLE, After::Keep).await?;
    samples.push(Sample::rate("S.1M-finished", most, first(&place, run).await?));
    Ok(samples)
}

/// The rate at which the first tasks are handled.
async fn first(place: &Place, run: &Run) -> Result<f64> {
    let progress = Progress::until(SAMPLE);
    let worker = worker(place.store(), &progress, run)?;
    let watch = Stopwatch::start();
    let handle = worker.start();
    progress.reached().await;
    let rate = watch.rate(SAMPLE);
    handle.shutdown().await;
    Ok(rate)
}

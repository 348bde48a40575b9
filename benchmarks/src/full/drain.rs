//! D and S: a worker drains what is waiting.

use anyhow::Result;

use super::{enqueue, verify, worker};
use crate::args::Run;
use crate::clock::Stopwatch;
use crate::job::{After, Progress};
use crate::place::Place;
use crate::raw::Hand;
use crate::stats::{Sample, Unit, percentile};

/// How many tasks S drains, whatever the number waiting.
pub(crate) const SAMPLE: usize = 10_000;
/// How often S drains, in turns with a store that holds nothing else.
pub(crate) const ROUNDS: usize = 5;

/// D, with succeeded tasks kept and deleted.
pub(super) async fn both(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for after in After::ALL {
        let place = Place::fresh(run).await?;
        enqueue(place.client(), 0, n, after).await?;
        let rate = drain(&place, run, n, after).await?;
        samples.push(Sample::rate(format!("D.{}", after.text()), n, rate));
    }
    Ok(samples)
}

/// Runs a worker until `n` tasks are handled and their outcomes are in the store; answers the rate.
pub(crate) async fn drain(place: &Place, run: &Run, n: usize, after: After) -> Result<f64> {
    let progress = Progress::until(n);
    let worker = worker(place.store(), &progress, run)?;
    let watch = Stopwatch::start();
    let handle = worker.start();
    progress.reached().await;
    handle.shutdown().await;
    let rate = watch.rate(n);
    verify(place.store(), n, after).await?;
    Ok(rate)
}

/// S: the rate of tasks drained beside what else the store holds ÷ the rate of as many alone, in turns, so that the
/// machine's mood is the same for both.
pub(super) async fn sizes(run: &Run, most: usize) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (name, waiting) in [("S.200k", most / 5), ("S.1M", most)] {
        let place = Place::fresh(run).await?;
        enqueue(place.client(), 0, waiting.max(SAMPLE * ROUNDS), After::Keep).await?;
        samples.extend(compare(name, waiting, run, &place, 0).await?);
    }
    let place = Place::fresh(run).await?;
    Hand::open(&place, run).await?.finish(most).await?;
    samples.extend(compare("S.1M-finished", most, run, &place, SAMPLE).await?);
    Ok(samples)
}

/// Drains `crowded`, enqueueing `refill` tasks before each round, and a store that holds nothing else.
async fn compare(name: &str, n: usize, run: &Run, crowded: &Place, refill: usize) -> Result<Vec<Sample>> {
    let alone = Place::fresh(run).await?;
    let mut pairs = Vec::new();
    for _ in 0..ROUNDS {
        enqueue(alone.client(), 0, SAMPLE, After::Keep).await?;
        let without = first(&alone, run).await?;
        enqueue(crowded.client(), 0, refill, After::Keep).await?;
        pairs.push((without, first(crowded, run).await?));
    }
    Ok(quotients(name, n, &pairs))
}

/// What S tells of pairs of rates, alone and beside others: the median of those beside others, and that of the quotients.
pub(crate) fn quotients(name: &str, n: usize, pairs: &[(f64, f64)]) -> Vec<Sample> {
    let median = |of: fn(&(f64, f64)) -> f64| percentile(&pairs.iter().map(of).collect::<Vec<_>>(), 50);
    vec![
        Sample::rate(format!("{name}-rate"), n, median(|(_, with)| *with)),
        Sample::new(name, n, median(|(without, with)| with / without), Unit::Ratio),
    ]
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

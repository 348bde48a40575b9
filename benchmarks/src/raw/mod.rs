//! The store's own calls driven by hand: no client, no worker.

mod hand;
mod mixed;

use anyhow::{Result, ensure};

pub(crate) use hand::Hand;

use crate::args::{Run, Workload};
use crate::clock::Stopwatch;
use crate::full::{BATCH, PRODUCERS, verify};
use crate::job::{After, Job};
use crate::place::Place;
use crate::stats::Sample;

/// One repetition of a workload; empty for one that has no raw form.
pub(crate) async fn run(workload: Workload, run: &Run) -> Result<Vec<Sample>> {
    let n = run.n(workload);
    match workload {
        Workload::E1 => one_by_one("E1", run, n, 1).await,
        Workload::E32 => one_by_one("E32", run, n, PRODUCERS).await,
        Workload::EB => batches(run, n).await,
        Workload::D => drains(run, n).await,
        Workload::M => mixed::one_by_one(run, n).await,
        Workload::MB => mixed::batches(run, n).await,
        Workload::L | Workload::H | Workload::S | Workload::F | Workload::U | Workload::B | Workload::P => {
            Ok(Vec::new())
        }
    }
}

async fn one_by_one(name: &str, run: &Run, n: usize, producers: usize) -> Result<Vec<Sample>> {
    let place = Place::fresh(run).await?;
    let mut hand = Hand::open(&place, run).await?;
    let tasks = hand.build(0..n, |number| Job::draft(number, After::Keep))?;
    let watch = Stopwatch::start();
    mixed::insert_one_by_one(place.store(), tasks, producers).await?;
    Ok(vec![Sample::rate(name, n, watch.rate(n))])
}

async fn batches(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let place = Place::fresh(run).await?;
    let mut hand = Hand::open(&place, run).await?;
    let tasks = hand.build(0..n, |number| Job::draft(number, After::Keep))?;
    let watch = Stopwatch::start();
    for batch in tasks.chunks(BATCH) {
        hand.insert(batch).await?;
    }
    Ok(vec![Sample::rate("EB", n, watch.rate(n))])
}

async fn drains(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for after in After::ALL {
        let place = Place::fresh(run).await?;
        let mut hand = Hand::open(&place, run).await?;
        hand.insert_all(n, |number| Job::draft(number, after)).await?;
        let watch = Stopwatch::start();
        let drained = hand.drain().await?;
        let rate = watch.rate(n);
        ensure!(drained == n, "{drained} of {n} tasks were drained");
        verify(place.store(), n, after).await?;
        samples.push(Sample::rate(format!("D.{}", after.text()), n, rate));
    }
    Ok(samples)
}

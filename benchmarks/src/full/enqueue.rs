//! Workloads of the client alone.

use anyhow::Result;

use super::{enqueue, produce};
use crate::args::Run;
use crate::clock::Stopwatch;
use crate::job::After;
use crate::place::Place;
use crate::stats::Sample;

/// E1 and E32: one task a call.
pub(super) async fn one_by_one(name: &str, run: &Run, n: usize, producers: usize) -> Result<Vec<Sample>> {
    let place = Place::fresh(run).await?;
    let watch = Stopwatch::start();
    produce(place.client(), n, producers).await?;
    Ok(vec![Sample::rate(name, n, watch.rate(n))])
}

/// EB: the batch API.
pub(super) async fn batches(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let place = Place::fresh(run).await?;
    let watch = Stopwatch::start();
    enqueue(place.client(), 0, n, After::Keep).await?;
    Ok(vec![Sample::rate("EB", n, watch.rate(n))])
}

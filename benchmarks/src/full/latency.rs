//! L: how long a task takes to reach its handler when the worker is idle.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context as _, Result};
use retry_core::engine::Worker;
use retry_core::executor::State;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::args::Run;
use crate::clock::{Stopwatch, pause};
use crate::job::Job;
use crate::place::Place;
use crate::stats::{Sample, Unit, percentile};

/// How long the worker is left alone before each task: it has settled the last one and sleeps.
const IDLE: Duration = Duration::from_millis(10);
/// Tasks that are not measured: connections and caches become warm.
const WARM_UP: usize = 10;

async fn handle(_: Job, started: State<UnboundedSender<Stopwatch>>) -> Result<(), Infallible> {
    // The receiver is gone only when the measurement has failed.
    let _ = started.0.send(Stopwatch::start());
    Ok(())
}

pub(super) async fn run(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let place = Place::fresh(run).await?;
    let (sender, mut started) = unbounded_channel::<Stopwatch>();
    let worker = Worker::builder(std::sync::Arc::clone(place.store()))
        .handler(handle)
        .state(sender)
        .concurrency(run.concurrency)
        .build()?;
    let handle = worker.start();
    let mut latencies = Vec::with_capacity(n);
    for number in 0..n + WARM_UP {
        pause(IDLE).await;
        let before = Stopwatch::start();
        place.client().enqueue(Job::new(number)).await?;
        let at = started.recv().await.context("the worker went away")?;
        if number >= WARM_UP {
            latencies.push(at.since(before).as_secs_f64() * 1_000.0);
        }
    }
    handle.shutdown().await;
    Ok(samples(n, &latencies))
}

/// The two figures of a latency.
pub(crate) fn samples(n: usize, millis: &[f64]) -> Vec<Sample> {
    let of = |name, percent| Sample::new(name, n, percentile(millis, percent), Unit::Millis);
    vec![of("L.p50", 50), of("L.p99", 99)]
}

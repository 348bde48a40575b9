//! The workloads with the real client and the real worker.

mod bytes;
mod claims;
mod drain;
mod enqueue;
mod hook;
mod latency;
mod mixed;
mod pinned;

use std::sync::Arc;

use anyhow::{Result, ensure};
use retry_core::client::Client;
use retry_core::engine::Worker;
use retry_core::seams::SeededRandom;
use retry_core::store::{CountScope, TaskStore};
use retry_core::task::State;

pub(crate) use bytes::child as bytes_child;
pub(crate) use drain::{ROUNDS, SAMPLE, drain, quotients};
pub(crate) use hook::Transactions;
pub(crate) use latency::samples as latency_samples;

use crate::args::{Run, Workload};
use crate::job::{self, After, Progress};
use crate::stats::Sample;

/// Producers of the workloads with several.
pub(crate) const PRODUCERS: usize = 32;
/// Tasks of one call of the batch API.
pub(crate) const BATCH: usize = 1_000;

/// One repetition of a workload.
pub(crate) async fn run(workload: Workload, run: &Run) -> Result<Vec<Sample>> {
    let n = run.n(workload);
    match workload {
        Workload::E1 => enqueue::one_by_one("E1", run, n, 1).await,
        Workload::E32 => enqueue::one_by_one("E32", run, n, PRODUCERS).await,
        Workload::EB => enqueue::batches(run, n).await,
        Workload::D => drain::both(run, n).await,
        Workload::M => mixed::one_by_one(run, n).await,
        Workload::MB => mixed::batches(run, n).await,
        Workload::L => latency::run(run, n).await,
        Workload::H => hook::run(run, n).await,
        Workload::S => drain::sizes(run, n).await,
        Workload::F => claims::future(run, n).await,
        Workload::U => claims::unknown(run, n).await,
        Workload::B => bytes::run(run, n),
        Workload::P => pinned::run(run, n).await,
    }
}

pub(crate) fn worker(store: &Arc<dyn TaskStore>, progress: &Arc<Progress>, run: &Run) -> Result<Worker> {
    let worker = Worker::builder(Arc::clone(store))
        .handler(job::handle)
        .state(Arc::clone(progress))
        .concurrency(run.concurrency)
        .prefetch(run.prefetch)
        .random(Arc::new(SeededRandom::new(run.seed + 1)));
    Ok(worker.build()?)
}

/// Enqueues the jobs number `from` to `to` in batches.
pub(crate) async fn enqueue(client: &Client, from: usize, to: usize, after: After) -> Result<()> {
    for start in (from..to).step_by(BATCH) {
        let jobs = (start..to.min(start + BATCH)).map(|number| job::Job::draft(number, after));
        client.enqueue_many(jobs).await?;
    }
    Ok(())
}

/// Enqueues `n` jobs one a call from concurrent producers.
async fn produce(client: &Client, n: usize, producers: usize) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for producer in 0..producers {
        let client = client.clone();
        tasks.spawn(async move {
            for number in (producer..n).step_by(producers) {
                client.enqueue(job::Job::new(number)).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Checks that every task of a drain has its outcome in the store.
pub(crate) async fn verify(store: &Arc<dyn TaskStore>, n: usize, after: After) -> Result<()> {
    let scope = CountScope {
        queue: None,
        exact: true,
    };
    let counts = store.count(&scope).await?;
    let all: u64 = counts.counts.values().map(|count| count.get()).sum();
    let (kept, wanted) = match after {
        After::Keep => (counts.of(State::Succeeded), n as u64),
        After::Delete => (all, 0),
    };
    ensure!(
        kept == wanted,
        "{kept} tasks are kept after the drain, not {wanted}: {:?}",
        counts.counts
    );
    Ok(())
}

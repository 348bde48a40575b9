//! H: how long after the commit a task that was enqueued in it reaches its handler on the same node: run by the commit hook, and
//! claimed by an idle worker.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use retry_core::engine::{Worker, WorkerHandle};
use retry_core::executor::State;
use retry_core::store::TaskStore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::args::Run;
use crate::clock::{Stopwatch, pause};
use crate::job::Job;
use crate::stats::{Sample, Unit, percentile};

/// How long the worker is left alone before each transaction: it has settled the last task and sleeps.
const IDLE: Duration = Duration::from_millis(10);
/// Transactions that are not measured: connections and caches become warm.
const WARM_UP: usize = 10;

/// A fresh store whose driver's transactions can be joined.
#[async_trait]
pub(crate) trait Transactions: Send {
    /// The store, for the worker.
    fn store(&self) -> std::sync::Arc<dyn TaskStore>;

    /// From now on what it enqueues with `here` is run by this worker.
    fn attach(&mut self, worker: &WorkerHandle);

    /// Writes a row and the job in one transaction; with `here` the job is run by the commit hook.
    async fn commit(&self, job: Job, here: bool) -> Result<()>;
}

async fn handle(_: Job, started: State<UnboundedSender<Stopwatch>>) -> Result<(), Infallible> {
    // The receiver is gone only when the measurement has failed.
    let _ = started.0.send(Stopwatch::start());
    Ok(())
}

pub(super) async fn run(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let Some(mut transactions) = run.store.transactions(run).await? else {
        bail!("H needs a store that joins transactions: sqlite or postgres");
    };
    let (sender, mut started) = unbounded_channel::<Stopwatch>();
    let worker = Worker::builder(transactions.store())
        .handler(handle)
        .state(sender)
        .concurrency(run.concurrency)
        .build()?;
    let worker = worker.start();
    worker.ready().await;
    transactions.attach(&worker);
    let (mut commits, mut hooks, mut claims) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..(n + WARM_UP) * 2 {
        let here = number % 2 == 0;
        pause(IDLE).await;
        let before = Stopwatch::start();
        transactions.commit(Job::new(number), here).await?;
        let committed = Stopwatch::start();
        let at = started.recv().await.context("the worker went away")?;
        if number >= WARM_UP * 2 {
            let millis = |span: Duration| span.as_secs_f64() * 1_000.0;
            commits.push(millis(committed.since(before)));
            // The handler may start before the committer has looked at the clock.
            let after = millis(at.since(before)) - millis(committed.since(before));
            if here { &mut hooks } else { &mut claims }.push(after.max(0.0));
        }
    }
    worker.shutdown().await;
    let of = |name: &str, millis: &[f64], percent| {
        Sample::new(
            format!("H.{name}.p{percent}"),
            n,
            percentile(millis, percent),
            Unit::Millis,
        )
    };
    Ok(vec![
        of("commit", &commits, 50),
        of("hook", &hooks, 50),
        of("hook", &hooks, 99),
        of("claim", &claims, 50),
        of("claim", &claims, 99),
    ])
}

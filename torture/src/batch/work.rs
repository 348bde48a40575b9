//! A worker of the batch: splits, executes, and writes the sum into a table of the user's own, under the fencing version.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::TryStreamExt as _;
use retry_core::batch::{Batch, Reduced, Shards};
use retry_core::draft::{InvalidTask, TaskOptions, TaskPayload};
use retry_core::engine::Worker;
use retry_core::executor::{Ctx, HandlerError, Outcome, State};
use retry_core::id::TaskId;
use retry_core::policy::{Backoff, RetryPolicy};
use serde::{Deserialize, Serialize};

use crate::args::Child;
use crate::place::{Ledger, Sum};
use crate::worker::LEASE;

/// Attempts that a worker runs at once.
const CONCURRENCY: usize = 256;

/// Outputs that the reduce adds up before it stores how far it is.
const SAVED: u64 = 20_000;

/// The sum of all numbers below `shards`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Total {
    pub(super) shards: u32,
}

impl Total {
    pub(super) fn sum(&self) -> u64 {
        let n = u64::from(self.shards);
        n * n.saturating_sub(1) / 2
    }
}

/// One number.
#[derive(Debug, Serialize, Deserialize)]
struct Number(u32);

impl TaskPayload for Total {
    const KIND: &'static str = "total";

    fn options() -> TaskOptions {
        options()
    }
}

impl TaskPayload for Number {
    const KIND: &'static str = "number";

    fn options() -> TaskOptions {
        options()
    }
}

/// No kill fails a shard, or the batch: endless attempts and no crash budget.
fn options() -> TaskOptions {
    let policy = RetryPolicy::builder().backoff(Backoff::fixed(Duration::from_millis(30)));
    TaskOptions::new()
        .retry(policy.endless().build().unwrap_or_default())
        .crash_budget(None)
        .rescue_delay(Duration::from_millis(100))
}

async fn split(total: Total) -> Result<Shards<Number>, HandlerError> {
    Ok(Shards::new((0..total.shards).map(Number)))
}

async fn execute(Number(n): Number) -> Result<Outcome, InvalidTask> {
    Outcome::output(&n)
}

/// How far the reduce is: so many added up, to this sum, the last of this shard.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Added {
    number: u64,
    sum: u64,
    last: Option<TaskId>,
}

/// Adds up, and stores how far it is now and then: workers are killed more often than it takes to read a million outputs.
async fn reduce(
    total: Total,
    shards: Reduced,
    ctx: Ctx,
    State(ledger): State<Arc<dyn Ledger>>,
) -> Result<()> {
    let mut added: Added = ctx.checkpoint()?.unwrap_or_default();
    let mut outputs = std::pin::pin!(shards.outputs_behind::<u32>(added.last));
    while let Some((id, n)) = outputs.try_next().await? {
        (added.number, added.sum, added.last) = (added.number + 1, added.sum + u64::from(n), Some(id));
        if added.number.is_multiple_of(SAVED) {
            ctx.save_checkpoint(&added).await?;
        }
    }
    let (number, sum) = (added.number, added.sum);
    ensure!(number == u64::from(total.shards), "{number} outputs");
    ledger
        .write(&Sum {
            batch: ctx.id().to_string(),
            version: ctx.version(),
            sum,
            times: 1,
        })
        .await
}

pub(crate) async fn run(child: &Child) -> Result<()> {
    let place = child.place()?;
    let ledger = place
        .subject
        .ledger()
        .await?
        .context("the store has no rows of the user's own")?;
    let client = place.connect().await?;
    let worker = Worker::builder(&client)
        .name(child.name("batch-worker"))
        .state(ledger)
        .batch(Batch::new(split, execute, reduce))
        .concurrency(CONCURRENCY)
        .lease(LEASE)
        .idle_poll(Duration::from_millis(100))
        .rescue_interval(Duration::from_millis(200))
        .build()?
        .start();
    let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    ended.await??;
    worker.shutdown().await;
    Ok(())
}

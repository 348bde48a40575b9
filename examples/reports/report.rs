//! The batch: a report is split by customer, each customer's line is worked out apart, and the lines become one file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use task_retry::batch::{Batch, Reduced, Shards};
use task_retry::clock::{Clock as _, SystemClock};
use task_retry::{Backoff, Ctx, Outcome, RetryPolicy, TaskId, TaskOptions, TaskPayload};

use crate::orders::{self, Line};

/// As long as a slow neighbour would take to answer: enough for a worker to die in the middle of it.
const WORK: Duration = Duration::from_millis(40);
/// Shards that one write stores: small, so that this small report has several.
const CHUNK: usize = 50;

/// A night's report over a file of orders.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) orders: PathBuf,
    /// The folder that gets the report.
    pub(crate) out: PathBuf,
}

impl TaskPayload for Report {
    const KIND: &'static str = "report";

    fn options() -> TaskOptions {
        options()
    }
}

/// One customer's part of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Customer {
    name: String,
    orders: PathBuf,
}

impl TaskPayload for Customer {
    const KIND: &'static str = "report-customer";

    fn options() -> TaskOptions {
        options()
    }
}

/// A killed worker says nothing about a report: no crash budget, and no long rest after a rescue.
fn options() -> TaskOptions {
    let policy = RetryPolicy::builder().backoff(Backoff::fixed(Duration::from_millis(200)));
    TaskOptions::new()
        .queue("nightly")
        .retry(policy.max_attempts(20).build().unwrap_or_default())
        .crash_budget(None)
        .rescue_delay(Duration::from_millis(100))
}

pub(crate) fn batch() -> Batch<Report, Customer> {
    Batch::new(split, execute, reduce)
}

/// A shard for each customer, in the same order whenever it is called.
async fn split(report: Report) -> anyhow::Result<Shards<Customer>> {
    let orders = orders::read(&report.orders)?;
    let names: BTreeSet<String> = orders.into_iter().map(|order| order.customer).collect();
    let file = report.orders;
    let customer = move |name| Customer {
        name,
        orders: file.clone(),
    };
    Ok(Shards::new(names.into_iter().map(customer)).chunk(CHUNK))
}

/// What a shard returns: its output, kept with its task until the reduce has read it.
type Part = (String, Line);

async fn execute(customer: Customer) -> anyhow::Result<Outcome> {
    let mut line = Line::default();
    for order in orders::read(&customer.orders)? {
        if order.customer == customer.name {
            line.add(&order);
        }
    }
    let clock = SystemClock::new();
    clock.sleep_until(clock.monotonic() + WORK).await;
    let part: Part = (customer.name, line);
    Ok(Outcome::output(&part)?)
}

/// Reads the lines page by page and writes the file at once: nobody sees half of it, and a second attempt of the reduce
/// replaces it by the same text.
async fn reduce(report: Report, customers: Reduced, ctx: Ctx) -> anyhow::Result<Outcome> {
    let lines: BTreeMap<String, Line> = customers.outputs::<Part>().try_collect().await?;
    let file = path(&report.out, ctx.id());
    // An attempt that lost its lease may still be writing: each has a file of its own until it is whole.
    let temporary = file.with_extension(format!("{}.tmp", ctx.version()));
    fs::write(&temporary, orders::text(&lines))
        .with_context(|| format!("cannot write {}", temporary.display()))?;
    fs::rename(&temporary, &file)?;
    Ok(Outcome::output(&lines.len())?)
}

/// The report's file, which carries the name of its batch.
pub(crate) fn path(out: &Path, id: TaskId) -> PathBuf {
    out.join(format!("report-{id}.csv"))
}

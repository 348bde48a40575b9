//! The physical limit of a store: the cheapest batched sequence of durable operations, hand-written on its driver.

mod sqlite;
mod sqlite_run;
mod sqlite_writer;

use anyhow::{Result, bail};

use crate::args::{Run, StoreName, Workload};
use crate::stats::Sample;

/// One repetition of a workload; empty for one that has no bare form.
pub(crate) async fn run(workload: Workload, run: &Run) -> Result<Vec<Sample>> {
    match run.store {
        StoreName::Sqlite => sqlite_run::run(workload, run).await,
        StoreName::Memory => bail!("the memory store has no driver below it; `raw` is its limit"),
    }
}

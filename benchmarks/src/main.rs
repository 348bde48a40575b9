//! Throughput and latency: the same workloads on every store, beside what the store and its driver can do by themselves.

mod aims;
mod args;
mod bare;
mod clock;
mod count;
mod disk;
mod full;
mod job;
mod layer;
mod place;
mod raw;
mod report;
mod row;
mod server;
mod stats;
mod stores;

use anyhow::Result;
use clap::Parser as _;
use tokio::runtime::Builder;

use args::{Cli, Command, Run};
use layer::Layer;

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        None => measured(&cli.run, Layer::Full),
        Some(Command::Raw(run)) => measured(&run, Layer::Raw),
        Some(Command::Bare(run)) => measured(&run, Layer::Bare),
        Some(Command::Report(run)) => threads(&run, async |_| report::run(&run).await),
        Some(Command::BytesChild(run)) => threads(&run, async |_| {
            full::bytes_child(&run)
                .await?
                .iter()
                .for_each(|line| row::line(line));
            Ok(())
        }),
        Some(Command::Count(count)) => count::run(&count),
        Some(Command::CountChild(child)) => Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(count::child(&child)),
    }
}

fn measured(run: &Run, layer: Layer) -> Result<()> {
    threads(run, async |threads| layer.print(run, threads).await)
}

/// Runs on as many threads as asked.
fn threads(run: &Run, work: impl AsyncFnOnce(usize) -> Result<()>) -> Result<()> {
    let threads = match run.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism()?.get(),
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?;
    runtime.block_on(work(threads))
}

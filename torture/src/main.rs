//! Real processes on one store: enqueuers and workers that are killed, stopped and cut off from power at random moments,
//! and an audit of what they leave behind against a log of their own.

mod alone;
mod args;
mod audit;
mod batch;
mod chaos;
mod clock;
mod crew;
mod drain;
mod enqueuer;
mod event;
mod handlers;
mod history;
mod kinds;
mod log;
mod outbox;
mod place;
mod power;
mod report;
mod run;
mod stores;
mod tokens;
mod witness;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::Builder;

use args::{Cli, Role};

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match cli.role {
            Some(Role::Worker(child)) => worker::run(&child).await.map(|()| ExitCode::SUCCESS),
            Some(Role::Enqueuer(child)) => enqueuer::run(&child).await.map(|()| ExitCode::SUCCESS),
            Some(Role::BatchWorker(child)) => batch::work(&child).await.map(|()| ExitCode::SUCCESS),
            Some(Role::OutboxWorker(child)) => outbox::work(&child).await.map(|()| ExitCode::SUCCESS),
            Some(Role::OutboxWriter(child)) => outbox::write(&child).await.map(|()| ExitCode::SUCCESS),
            Some(Role::Alone(child)) => alone::run(&child).await.map(|()| ExitCode::SUCCESS),
            Some(Role::Audit(kept)) => run::audit(&kept).await,
            None => run::run(&cli.run).await,
        }
    })
}

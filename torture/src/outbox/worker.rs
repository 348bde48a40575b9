//! A process that relays the outbox and runs the tasks.

use std::time::Duration;

use anyhow::{Context as _, Result};
use retry_core::engine::Worker;
use retry_core::executor::{Ctx, State};

use super::runs::{ENDING, Ran, Runs, Ship};
use super::source;
use crate::args::Child;
use crate::worker::LEASE;

async fn ship(Ship { n }: Ship, ctx: Ctx, State(runs): State<Runs>) -> Result<()> {
    runs.note(&Ran {
        n,
        id: ctx.id().to_string(),
        version: ctx.version(),
    })
}

pub(crate) async fn run(child: &Child) -> Result<()> {
    let place = child.place()?;
    let name = child.name("worker");
    let runs = Runs::create(&place.log(&name).with_extension(ENDING))?;
    let from = child.source.as_deref().context("no source is named")?;
    let source = source::by_url(from, &child.folder)?;
    let client = place.connect().await?;
    let relay = source.relay(&client).await?;
    let worker = Worker::builder(&client)
        .name(name)
        .state(runs)
        .handler(ship)
        .concurrency(16)
        .lease(LEASE)
        .idle_poll(Duration::from_millis(100))
        .rescue_interval(Duration::from_millis(200))
        .purge_interval(Duration::from_secs(1))
        .shutdown_grace(Duration::from_secs(5))
        .build()?
        .start();
    let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    ended.await??;
    relay.shutdown().await;
    worker.shutdown().await;
    Ok(())
}

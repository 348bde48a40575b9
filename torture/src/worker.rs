//! A worker process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use retry_core::engine::{Worker, WorkerHandle};
use retry_core::store::TaskStore;

use crate::args::Child;
use crate::clock::Watch;
use crate::handlers::{self, Tools};
use crate::log::Log;
use crate::place::Place;
use crate::stores::{self, Home};
use crate::witness::Witness;

/// Short, so that a stopped worker outlives it often.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

pub(crate) async fn run(child: &Child) -> Result<()> {
    let place = child.place()?;
    let name = child.name("worker");
    let log = Log::create(&place.log(&name))?;
    let running = start(&place, &name, Arc::clone(place.connect().await?.store()), &log)?;
    let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    ended.await??;
    running.shutdown().await;
    Ok(())
}

/// Starts to run tasks.
pub(crate) fn start(place: &Place, name: &str, store: Arc<dyn TaskStore>, log: &Log) -> Result<WorkerHandle> {
    let log = log.clone();
    let tools = Tools {
        log: log.clone(),
        tokens: place.tokens(),
        watch: Watch::start(),
    };
    let worker = Worker::builder(Witness { store, log })
        .name(name)
        .concurrency(8)
        .lease(LEASE)
        .idle_poll(Duration::from_millis(100))
        .rescue_interval(Duration::from_millis(200))
        .purge_interval(Duration::from_secs(1))
        .shutdown_grace(Duration::from_secs(5));
    Ok(handlers::all(worker, tools).build()?.start())
}

impl Child {
    /// Where the process works.
    pub(crate) fn place(&self) -> Result<Place> {
        Place::new(&self.folder, stores::by_url(&self.url, Home::of(&self.folder))?)
    }

    /// The name of the process, of its worker and its files.
    pub(crate) fn name(&self, role: &str) -> String {
        format!("{role}-{}-{}", self.slot, self.generation)
    }
}

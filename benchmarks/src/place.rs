//! A fresh store for one repetition, removed again afterwards.

use std::fmt;
use std::fs;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use retry_core::client::Client;
use retry_core::seams::SeededRandom;
use retry_core::store::TaskStore;
use tempfile::TempDir;

use crate::args::Run;

/// Where a store keeps its data, removed when this is dropped.
#[async_trait]
pub(crate) trait Ground: fmt::Debug + Send + Sync {
    /// Bytes on the disk after the store was closed; none where nobody can know.
    async fn bytes(&self) -> Result<Option<u64>>;
}

/// The ground of a store that keeps nothing.
#[derive(Debug)]
pub(crate) struct Nowhere;

#[async_trait]
impl Ground for Nowhere {
    async fn bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

#[async_trait]
impl Ground for TempDir {
    async fn bytes(&self) -> Result<Option<u64>> {
        let mut bytes = 0;
        for entry in fs::read_dir(self.path())? {
            bytes += entry?.metadata()?.len();
        }
        Ok(Some(bytes))
    }
}

/// A store in a place of its own, with a client.
#[derive(Debug)]
pub(crate) struct Place {
    store: Arc<dyn TaskStore>,
    client: Client,
    // Last, so that it is dropped after the store.
    ground: Box<dyn Ground>,
}

impl Place {
    /// A fresh place.
    pub(crate) async fn fresh(run: &Run) -> Result<Self> {
        run.store.fresh(run).await
    }

    /// The place of a fresh store.
    pub(crate) async fn open<S: TaskStore>(
        store: S,
        ground: impl Ground + 'static,
        run: &Run,
    ) -> Result<Self> {
        let store = Arc::new(store);
        store.migrate().await?;
        let random = Arc::new(SeededRandom::new(run.seed));
        let client = Client::<S>::builder(Arc::clone(&store)).random(random).build();
        Ok(Self {
            store,
            client: client.erase(),
            ground: Box::new(ground),
        })
    }

    pub(crate) const fn store(&self) -> &Arc<dyn TaskStore> {
        &self.store
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Closes the store and answers how many bytes it left on the disk.
    pub(crate) async fn close(self) -> Result<Option<u64>> {
        drop((self.store, self.client));
        self.ground.bytes().await
    }
}

/// A fresh folder on the asked disk.
pub(crate) fn folder(run: &Run) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("benchmark-");
    let made = match &run.dir {
        Some(dir) => builder.tempdir_in(dir),
        None => builder.tempdir(),
    };
    made.context("no folder for the database")
}

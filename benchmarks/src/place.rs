//! A fresh store for one repetition, removed again afterwards.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use retry_core::client::Client;
use retry_core::seams::SeededRandom;
use retry_core::store::{MemoryStore, TaskStore};
use retry_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::args::{Run, StoreName, Synchronous};

/// A store in a folder of its own.
#[derive(Debug)]
pub(crate) struct Place {
    store: Arc<dyn TaskStore>,
    client: Client,
    folder: TempDir,
}

impl Place {
    pub(crate) async fn fresh(run: &Run) -> Result<Self> {
        let folder = folder(run)?;
        let (store, client) = match run.store {
            StoreName::Memory => with_client(MemoryStore::new(), run),
            StoreName::Sqlite => {
                let builder =
                    SqliteStore::builder(database(&folder)).synchronous(synchronous(run.synchronous));
                with_client(builder.build().context("the SQLite store cannot be opened")?, run)
            }
        };
        store.migrate().await?;
        Ok(Self {
            store,
            client,
            folder,
        })
    }

    pub(crate) const fn store(&self) -> &Arc<dyn TaskStore> {
        &self.store
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Closes the store and answers how many bytes it left on the disk.
    pub(crate) fn close(self) -> Result<u64> {
        drop((self.store, self.client));
        let mut bytes = 0;
        for entry in fs::read_dir(self.folder.path())? {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }
}

fn with_client<S: TaskStore>(store: S, run: &Run) -> (Arc<dyn TaskStore>, Client) {
    let store = Arc::new(store);
    let random = Arc::new(SeededRandom::new(run.seed));
    let client = Client::<S>::builder(Arc::clone(&store)).random(random).build();
    (store, client.erase())
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

/// Where the database of a folder is.
pub(crate) fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("tasks.db")
}

const fn synchronous(given: Synchronous) -> retry_sqlite::Synchronous {
    match given {
        Synchronous::Full => retry_sqlite::Synchronous::Full,
        Synchronous::Normal => retry_sqlite::Synchronous::Normal,
        Synchronous::Off => retry_sqlite::Synchronous::Off,
    }
}

//! What the suite needs: fresh stores, and a crash.

use std::sync::Arc;

use async_trait::async_trait;
use conformance_tests::{Capabilities, Harness, Instance, Skip};
use custom_store::LogStore;
use retry_core::clock::ManualClock;
use retry_core::store::TaskStore;
use tempfile::TempDir;

pub(crate) struct Files;

#[async_trait]
impl Harness for Files {
    fn name(&self) -> &'static str {
        "log"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new().reopen()
    }

    async fn fresh(&self, clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = open(&folder, &clock);
        Ok(Box::new(File { store, clock, folder }))
    }
}

/// A store in a folder of its own.
pub(crate) struct File {
    pub(crate) store: LogStore,
    clock: ManualClock,
    folder: TempDir,
}

fn open(folder: &TempDir, clock: &ManualClock) -> LogStore {
    let path = folder.path().join("tasks.jsonl");
    LogStore::open(&path, Arc::new(clock.clone())).expect("the store opens")
}

#[async_trait]
impl Instance for File {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::new(self.store.clone())
    }

    async fn reopen(self: Box<Self>) -> Box<dyn Instance> {
        let Self { store, clock, folder } = *self;
        drop(store);
        let store = open(&folder, &clock);
        Box::new(Self { store, clock, folder })
    }
}

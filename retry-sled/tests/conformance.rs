//! The conformance suite on sled directories.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use conformance_tests::{Capabilities, Harness, Instance, Skip};
use retry_core::clock::ManualClock;
use retry_core::id::TaskId;
use retry_core::store::TaskStore;
use retry_sled::SledStore;
use tempfile::TempDir;

struct Sled;

#[async_trait]
impl Harness for Sled {
    fn name(&self) -> &'static str {
        "sled"
    }

    /// No peer: one process at a time.
    fn capabilities(&self) -> Capabilities {
        Capabilities::new().reopen().damage().histories(128)
    }

    async fn fresh(&self, clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Some(open(&dir, &clock));
        Ok(Box::new(Directory { store, clock, dir }))
    }
}

/// A store in a directory of its own, whose indexes are compared with its rows at the end of every case and history.
struct Directory {
    /// None only while it is opened again.
    store: Option<SledStore>,
    clock: ManualClock,
    dir: TempDir,
}

impl Directory {
    fn open_store(&self) -> &SledStore {
        self.store
            .as_ref()
            .expect("the store is closed only while it is opened again")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let Some(store) = self.store.take().filter(|_| !std::thread::panicking()) else {
            return;
        };
        // A runtime of its own: this may be dropped inside of another.
        let audit = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.expect("a runtime").block_on(store.audit())
        });
        let audit = audit
            .join()
            .expect("an audit does not panic")
            .expect("the store is read");
        assert_eq!(audit.problems, 0, "{:#?}", audit.told);
    }
}

fn open(dir: &TempDir, clock: &ManualClock) -> SledStore {
    SledStore::builder(dir.path().join("tasks"))
        .clock(Arc::new(clock.clone()))
        .readers(1)
        .build()
        .expect("the store opens")
}

#[async_trait]
impl Instance for Directory {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::new(self.open_store().clone())
    }

    async fn reopen(mut self: Box<Self>) -> Box<dyn Instance> {
        drop(self.store.take());
        self.store = Some(open(&self.dir, &self.clock));
        self
    }

    async fn damage(&self, id: TaskId) {
        // A record of an unknown format.
        let row = [b"t".as_slice(), &id.to_bytes()].concat();
        let damage = Some(b"\xff?".to_vec());
        self.open_store()
            .overwrite(row, damage)
            .await
            .expect("the row is damaged");
    }
}

fn main() -> ExitCode {
    conformance_tests::run(Sled)
}

//! The suite on a store over three stores in memory: with all tasks on one of them, and with tasks on each.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use conformance_tests::sharded::Sharded;
use conformance_tests::{Capabilities, Harness, Instance, Skip, run_all};
use retry_core::clock::ManualClock;
use retry_core::store::{MemoryStore, TaskStore};

struct Memory;

#[async_trait]
impl Harness for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new().reopen().peer().histories(300)
    }

    async fn fresh(&self, clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        Ok(Box::new(Kept(MemoryStore::with_clock(Arc::new(clock)))))
    }
}

/// A clone stands for the data.
struct Kept(MemoryStore);

#[async_trait]
impl Instance for Kept {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::new(self.0.clone())
    }

    async fn reopen(self: Box<Self>) -> Box<dyn Instance> {
        self
    }

    async fn peer(&self) -> Arc<dyn TaskStore> {
        Arc::new(self.0.clone())
    }
}

fn main() -> ExitCode {
    let parts = || (0..3).map(|_| Arc::new(Memory) as Arc<dyn Harness>).collect();
    run_all([
        Sharded::one_slot("memory_sharded", parts()),
        Sharded::spread("memory_spread", parts()),
    ])
}

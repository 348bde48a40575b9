//! The store in memory: what the engine costs by itself.

use anyhow::Result;
use async_trait::async_trait;
use retry_core::store::MemoryStore;

use super::Subject;
use crate::args::Run;
use crate::bare::Toy;
use crate::job::After;
use crate::place::{Nowhere, Place};

#[derive(Debug)]
pub(super) struct Memory;

#[async_trait]
impl Subject for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn fresh(&self, run: &Run) -> Result<Place> {
        Place::open(MemoryStore::new(), Nowhere, run).await
    }

    async fn toy(&self, _: &Run, _: After) -> Result<Option<Box<dyn Toy>>> {
        Ok(None)
    }

    fn is_on_disk(&self) -> bool {
        false
    }
}

//! The maintainer: forgets ended tasks whose retention is over, in bounded batches.

use std::sync::Arc;

use super::drive::Step;
use super::part::Part;
use crate::clock::{Clock as _, Monotonic};
use crate::store::Result;

#[derive(Debug)]
pub(super) struct Maintainer {
    part: Arc<Part>,
}

impl Maintainer {
    pub(super) const fn new(part: Arc<Part>) -> Self {
        Self { part }
    }

    /// One batch; whether there may be more. Some may be missing from a batch that is not the last: what others have locked is
    /// passed over, and children are put off. A call for every few that end would be as wrong.
    async fn purge(&self) -> Result<bool> {
        let part = &self.part;
        part.sync_clock().await?;
        let batch = part.engine.setup.config.purge_batch;
        let purged = part.call(part.store.purge(part.clock.now(), batch)).await?;
        if purged > 0 {
            tracing::debug!(purged, "purged ended tasks");
        }
        Ok(purged > 0 && purged >= batch as u64 / 2)
    }
}

impl Step for Maintainer {
    fn part(&self) -> &Arc<Part> {
        &self.part
    }

    fn name(&self) -> &'static str {
        "maintainer"
    }

    async fn step(&mut self) -> Monotonic {
        let now = || self.part.clock.monotonic();
        let interval = self.part.engine.setup.config.purge_interval;
        match self.purge().await {
            Ok(true) => now(),
            Ok(false) => now() + self.part.engine.jittered(interval),
            Err(error) => {
                tracing::warn!(%error, "the purge failed");
                now() + interval
            }
        }
    }

    async fn woken(&mut self) {
        std::future::pending().await
    }
}

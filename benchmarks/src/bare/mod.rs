//! The physical limit of a store: the cheapest batched sequence of durable operations, hand-written on its driver.

mod run;
mod size;
mod writer;

use anyhow::Result;
use async_trait::async_trait;

pub(crate) use run::run;

/// A claimed job of a toy queue.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) payload: String,
}

/// A queue made of the cheapest durable operations of a driver: an integer key, six columns, one index.
#[async_trait]
pub(crate) trait Toy: Send {
    /// In one transaction, script or batch, durable on return: inserts jobs that are due, settles what was claimed, claims
    /// up to `limit` others, those first that wait longest.
    async fn turn(&mut self, payloads: &[&str], held: &[Claimed], limit: usize) -> Result<Vec<Claimed>>;
}

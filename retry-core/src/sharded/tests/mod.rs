//! Two stores as one, in memory, that fail on demand.

mod failing;
mod placing;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use super::ShardedStore;
use crate::client::Client;
use crate::draft::Draft;
use crate::engine::tests::faulty::FaultyStore;
use crate::engine::tests::harness::{World, job};
use crate::seams::SeededRandom;

/// Two worlds of one clock, and the store over both.
struct Two {
    east: World,
    west: World,
    /// The ways of the sharded store to its parts.
    ways: [FaultyStore; 2],
    store: Arc<ShardedStore>,
    client: Client<ShardedStore>,
}

const LIMIT: Duration = Duration::from_secs(5);

impl Two {
    fn new() -> Self {
        let east = World::new();
        let west = World::beside(&east);
        Self::over(east, west, |builder| builder)
    }

    fn over(east: World, west: World, with: impl FnOnce(super::Builder) -> super::Builder) -> Self {
        let ways = [east.store(), west.store()];
        let builder = ShardedStore::builder()
            .part("east", ways[0].clone())
            .part("west", ways[1].clone())
            .clock(Arc::new(east.clock.clone()))
            .call_limit(LIMIT);
        let store = Arc::new(with(builder).build().unwrap());
        let client = Client::builder(Arc::clone(&store))
            .clock(Arc::new(east.clock.clone()))
            .random(Arc::new(SeededRandom::new(50)))
            .build();
        Self {
            east,
            west,
            ways,
            store,
            client,
        }
    }

    /// The nth key whose tasks the part keeps.
    fn key(&self, part: &str, n: usize) -> String {
        let keys = (0..).map(|number| format!("customer-{number}"));
        let mut here = keys.filter(|key| self.store.part_for_key(key) == part);
        here.nth(n).unwrap()
    }

    /// A task for a part.
    fn job(&self, part: &str) -> Draft {
        job("a").shard_key(self.key(part, 0))
    }

    async fn counts(&self) -> [usize; 2] {
        let all = crate::store::TaskFilter::default;
        [
            self.east.list(all()).await.len(),
            self.west.list(all()).await.len(),
        ]
    }
}

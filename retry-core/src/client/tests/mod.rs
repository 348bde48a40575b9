//! The client on a store in memory that fails on demand.

mod admin;
mod complete;
mod dry_run;
mod enqueue;
mod why;

use std::sync::Arc;

use super::Client;
use crate::engine::tests::faulty::FaultyStore;
use crate::engine::tests::harness::World;
use crate::seams::SeededRandom;

/// A client with faults of its own.
fn client(world: &World) -> (Client<FaultyStore>, FaultyStore) {
    let store = world.store();
    let client = Client::builder(store.clone())
        .clock(Arc::new(world.clock.clone()))
        .random(Arc::new(SeededRandom::new(50)))
        .build();
    (client, store)
}

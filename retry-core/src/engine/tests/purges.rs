//! Ended tasks are forgotten batch by batch, as fast as they come.

use std::time::Duration;

use super::faulty::Op;
use super::harness::{SECOND, WithKind as _, World, done, job};
use crate::limits::MAX_BATCH;

/// A day and more: longer than ended tasks are kept.
const LONG: Duration = Duration::from_hours(200);

#[tokio::test]
async fn a_batch_from_which_some_are_missing_is_not_the_last() {
    let world = World::new();
    let mut ids = Vec::new();
    for _ in 0..4 {
        let drafts: Vec<_> = (0..MAX_BATCH).map(|_| job("k")).collect();
        ids.extend(world.client.enqueue_many(drafts).await.unwrap());
    }
    for id in &ids {
        world.client.cancel(id.id).await.unwrap();
    }
    world.clock.advance(LONG);
    let store = world.store();
    // Another worker purges, too: what it has locked is passed over.
    store.pass_over(MAX_BATCH / 4);
    let handle = world.worker_on(&store).kind("k", done()).build().unwrap().start();
    world.pass(SECOND).await;
    assert_eq!(store.calls(Op::Purge), 6, "five batches of 750, and one of 250");
    world.shut_down(handle).await;
}

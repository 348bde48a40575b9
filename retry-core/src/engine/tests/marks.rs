//! Claims behind marks on a store whose sweeps are slow: it walks over what nobody may clear away yet.

use std::time::Duration;

use super::faulty::FaultyStore;
use super::harness::{SECOND, WithKind as _, World, done, job};
use crate::engine::WorkerHandle;
use crate::id::TaskId;
use crate::priority::Priority;
use crate::task::State;

const SWEEP: Duration = Duration::from_millis(100);
const BEHIND: Duration = Duration::from_millis(1);
/// So many sweeps come before it is known that they are slow.
const UNSUSPECTING: u32 = 3;

async fn many(world: &World, n: usize) -> Vec<TaskId> {
    let enqueued = world.client.enqueue_many((0..n).map(|_| job("a"))).await.unwrap();
    enqueued.iter().map(|enqueued| enqueued.id).collect()
}

/// A worker that claims one task at a time.
fn one_by_one(world: &World, store: &FaultyStore) -> WorkerHandle {
    let worker = world.worker_on(store).concurrency(1).prefetch(0);
    worker.kind("a", done()).build().unwrap().start()
}

/// Since then, when there had been so many sweeps, they took a tenth of the time, beside the first ones.
fn assert_a_tenth(world: &World, store: &FaultyStore, (since, before): (Duration, usize)) {
    let sweeps = u32::try_from(store.sweeps() - before).unwrap();
    let (passed, swept) = (world.elapsed() - since, SWEEP * sweeps);
    assert!(sweeps >= UNSUSPECTING, "{sweeps} sweeps in {passed:?}");
    assert!(
        swept <= SWEEP * UNSUSPECTING + passed / 10,
        "{sweeps} sweeps in {passed:?}"
    );
}

#[tokio::test]
async fn slow_sweeps_take_a_tenth_of_the_time_beside_a_backlog() {
    let world = World::new();
    let store = world.store();
    let ids = many(&world, 3_000).await;
    store.claims_take(&world.clock, SWEEP, BEHIND);
    let handle = one_by_one(&world, &store);
    let since = (world.elapsed(), store.sweeps());
    world.until_final(ids[2_500]).await;
    assert_a_tenth(&world, &store, since);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn slow_sweeps_take_a_tenth_of_the_time_beside_wakeups() {
    let world = World::new();
    let store = world.store();
    store.claims_take(&world.clock, SWEEP, BEHIND);
    let handle = one_by_one(&world, &store);
    world.pass(SECOND).await;
    let since = (world.elapsed(), store.sweeps());
    for _ in 0..1_000 {
        many(&world, 1).await;
        world.pass(Duration::from_millis(4)).await;
    }
    assert_a_tenth(&world, &store, since);
    world.pass(SECOND).await;
    let last = many(&world, 1).await[0];
    let since = world.elapsed();
    world.until_final(last).await;
    let took = world.elapsed() - since;
    assert!(
        took <= SWEEP + Duration::from_millis(10),
        "{took:?}, {} sweeps",
        store.sweeps()
    );
    world.shut_down(handle).await;
}

/// A task of another lane comes at once, one before a mark with the next sweep.
#[tokio::test]
async fn what_marks_hide_comes_although_sweeps_are_slow() {
    let world = World::new();
    let store = world.store();
    let ids = many(&world, 4_000).await;
    store.claims_take(&world.clock, SWEEP, BEHIND);
    let handle = one_by_one(&world, &store);
    world.until_final(ids[1_500]).await;
    let early = crate::clock::ManualClock::START.saturating_sub(SECOND);
    let (since, early) = (world.elapsed(), world.enqueue(job("a").run_at(early)).await);
    let urgent = world.enqueue(job("a").priority(Priority::Urgent)).await;
    world.until_final(urgent).await;
    let took = world.elapsed() - since;
    assert!(
        took <= SWEEP + Duration::from_millis(10),
        "{took:?}, {} sweeps",
        store.sweeps()
    );
    world.until_final(early).await;
    assert!(world.elapsed() - since <= SWEEP * 11);
    assert_eq!(world.state(ids[3_999]).await, State::Pending);
    world.shut_down(handle).await;
}

/// A store that is slow altogether gains nothing by fewer sweeps, so marks live as shortly as ever.
#[tokio::test]
async fn a_store_that_is_always_slow_is_swept_as_ever() {
    let world = World::new();
    let store = world.store();
    let ids = many(&world, 100).await;
    store.claims_take(&world.clock, SWEEP, SWEEP);
    let handle = one_by_one(&world, &store);
    world.until_final(ids[50]).await;
    let since = world.elapsed();
    let early = crate::clock::ManualClock::START.saturating_sub(SECOND);
    let early = world.enqueue(job("a").run_at(early)).await;
    world.until_final(early).await;
    assert!(world.elapsed() - since <= Duration::from_millis(250) + SWEEP * 2);
    world.shut_down(handle).await;
}

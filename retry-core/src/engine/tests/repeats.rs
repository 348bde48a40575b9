//! A worker that is given a task while its own earlier attempt of it still runs, and a store that lost what it had
//! acknowledged.

use super::faulty::Fault;
use super::harness::{Meter, SECOND, WithKind as _, World, done, job, script, until_cancelled};
use crate::id::{Shard, TaskId, TaskIds};
use crate::machine::{Event, transition};
use crate::store::{Applied, Durability, TaskStore as _, TaskStoreExt as _};
use crate::task::{Edit, State};

#[tokio::test]
async fn a_task_waits_for_the_end_of_its_lost_attempt() {
    let world = World::new();
    let (store, meter) = (world.store(), Meter::default());
    let count = meter.clone();
    let deaf = script(move |_| {
        let inside = count.enter();
        async move {
            let _inside = inside;
            std::future::pending().await
        }
    });
    let id = world.enqueue(job("a").rescue_delay(SECOND).crash_budget(5)).await;
    let worker = world.worker_on(&store).cancel_grace(SECOND * 60).kind("a", deaf);
    let handle = worker.build().unwrap().start();
    world.until_state(id, State::Running).await;
    store.all(Some(Fault::Lost));
    let rescuer = world.worker().kind("other", done()).build().unwrap().start();
    world.until_state(id, State::Pending).await;
    store.all(None);
    let second = world.until_state(id, State::Running).await;
    assert_eq!(second.task.attempt, 2, "it is claimed by the one worker that may");
    world.pass(SECOND * 10).await;
    assert_eq!(
        (meter.total(), handle.running()),
        (1, 1),
        "its first attempt is not over"
    );
    // The first attempt's future is dropped when its grace is over; then the second begins.
    world.pass(SECOND * 60).await;
    assert_eq!((meter.most(), meter.total()), (1, 2));
    world.shut_down(handle).await;
    world.shut_down(rescuer).await;
}

/// One task taken and another given without the worker's knowing leave the counts equal: only a comparison finds that
/// they are of different tasks.
struct Exchanged {
    world: World,
    store: super::faulty::FaultyStore,
    handle: crate::engine::WorkerHandle,
    given: TaskId,
}

impl Exchanged {
    async fn new(durability: Durability) -> Self {
        let world = World::new();
        let store = world.store();
        store.declare(durability);
        let id = world.enqueue(job("a")).await;
        let worker = world
            .worker_on(&store)
            .kind("a", until_cancelled())
            .kind("b", done());
        let handle = worker.build().unwrap().start();
        let running = world.until_state(id, State::Running).await.task;
        // A rescuer takes it past its deadline, or the claim itself is lost ...
        let at = world.now().saturating_add(SECOND * 1_000);
        let edit = Edit {
            id,
            version: running.version,
            nonce: crate::id::Nonce::from_random(1),
            action: transition(&running, Event::Snooze { at }, world.now(), 0).unwrap(),
            insert: Vec::new(),
        };
        let applied = world.memory.apply(edit, world.now()).await.unwrap();
        assert!(matches!(applied, Applied::Done { .. }));
        // ... and the answer of another's claim, or its outcome.
        let given = TaskIds::default().next(world.now(), Shard::default(), 5);
        let mut forgotten = job("b").build(given, world.now(), 0, None).unwrap();
        forgotten.leased_by = running.session;
        world.memory.insert(&[forgotten], world.now()).await.unwrap();
        assert_eq!(world.state(given).await, State::Running);
        Self {
            world,
            store,
            handle,
            given,
        }
    }

    async fn found(self) {
        let found = (self.world.state(self.given).await, self.handle.running());
        assert_eq!(found, (State::Succeeded, 0));
        self.world.shut_down(self.handle).await;
    }

    async fn not_found_yet(&self) {
        let seen = (self.world.state(self.given).await, self.handle.running());
        assert_eq!(seen, (State::Running, 1));
    }
}

#[tokio::test]
async fn after_a_failure_of_the_store_what_is_held_is_compared() {
    for durability in [Durability::None, Durability::Synced] {
        let exchanged = Exchanged::new(durability).await;
        let (world, store) = (&exchanged.world, &exchanged.store);
        world.pass(SECOND * 20).await;
        exchanged.not_found_yet().await;
        store.all(Some(Fault::Lost));
        world.clock.advance(SECOND * 2);
        world.pass(SECOND * 3).await;
        store.all(None);
        world.pass(SECOND * 12).await;
        exchanged.found().await;
    }
}

/// The loss may have been met by other programs' calls alone.
#[tokio::test]
async fn without_any_failure_what_is_held_is_compared_once_a_minute() {
    let exchanged = Exchanged::new(Durability::Synced).await;
    exchanged.world.pass(SECOND * 45).await;
    exchanged.not_found_yet().await;
    exchanged.world.pass(SECOND * 25).await;
    exchanged.found().await;
}

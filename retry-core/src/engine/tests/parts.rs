//! A sharded store: one session and one pump per member, the permits in common.

use std::sync::Arc;
use std::time::Duration;

use super::faulty::{Fault, FaultyStore, Op};
use super::harness::{Meter, SECOND, WithKind as _, World, job, quiet, script};
use crate::clock::Clock as _;
use crate::engine::WorkerBuilder;
use crate::executor::Outcome;
use crate::store::{CountScope, TaskStore as _};
use crate::task::State;

/// Two worlds of one clock, and the store over both.
fn sharded() -> (World, World, FaultyStore) {
    let one = World::new();
    let other = World::beside(&one);
    let whole = one.store();
    whole.shard(vec![Arc::new(one.memory.clone()), Arc::new(other.memory.clone())]);
    (one, other, whole)
}

fn slow(world: &World, worker: WorkerBuilder, meter: &Meter) -> WorkerBuilder {
    let (clock, meter) = (world.clock.clone(), meter.clone());
    worker.kind(
        "a",
        script(move |_| {
            let (clock, inside) = (clock.clone(), meter.enter());
            async move {
                clock
                    .sleep_until(clock.monotonic() + Duration::from_millis(100))
                    .await;
                drop(inside);
                Ok(Outcome::Done)
            }
        }),
    )
}

async fn succeeded(world: &World) -> u64 {
    world
        .memory
        .count(&CountScope::default())
        .await
        .unwrap()
        .of(State::Succeeded)
}

#[tokio::test]
async fn no_part_starves_behind_another() {
    let (one, other, whole) = sharded();
    for _ in 0..400 {
        one.enqueue(job("a")).await;
    }
    let meter = Meter::default();
    let handle = slow(&one, one.worker_on(&whole).concurrency(4), &meter)
        .build()
        .unwrap()
        .start();
    one.pass(SECOND).await;
    for _ in 0..40 {
        other.enqueue(job("a")).await;
    }
    one.pass(SECOND * 5).await;
    assert!(succeeded(&other).await >= 40, "{}", succeeded(&other).await);
    assert!(succeeded(&one).await >= 120, "{}", succeeded(&one).await);
    assert_eq!(meter.most(), 4);
    one.pass(SECOND * 10).await;
    assert_eq!((succeeded(&one).await, succeeded(&other).await), (400, 40));
    one.shut_down(handle).await;
    assert_eq!(other.memory.sessions().await.unwrap(), []);
}

#[tokio::test]
async fn a_part_that_is_down_does_not_stop_the_others() {
    let (one, other, whole) = sharded();
    let broken = other.store();
    whole.shard(vec![Arc::new(one.memory.clone()), Arc::new(broken.clone())]);
    broken.all(Some(Fault::Lost));
    for world in [&one, &other] {
        for _ in 0..20 {
            world.enqueue(job("a")).await;
        }
    }
    let meter = Meter::default();
    let handle = slow(&one, one.worker_on(&whole).concurrency(4), &meter)
        .build()
        .unwrap()
        .start();
    one.pass(SECOND * 10).await;
    assert_eq!((succeeded(&one).await, succeeded(&other).await), (20, 0));
    broken.all(None);
    one.pass(SECOND * 10).await;
    assert_eq!(succeeded(&other).await, 20);
    assert!(broken.calls(Op::Time) > 1);
    one.shut_down(handle).await;
    quiet().await;
}

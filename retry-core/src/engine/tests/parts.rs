//! A sharded store: one session and one pump per member, the permits in common.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::faulty::{Fault, FaultyStore, Op};
use super::harness::{Meter, SECOND, WithKind as _, World, done, job, quiet, script};
use super::listener::{Listener, Manner};
use crate::alert::AlertReason;
use crate::clock::Clock as _;
use crate::engine::WorkerBuilder;
use crate::executor::Outcome;
use crate::store::{CountScope, TaskStore};
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

#[tokio::test]
async fn a_backlog_in_several_parts_is_one_incident_with_the_longest_wait() {
    let (one, other, whole) = sharded();
    one.enqueue(job("nobodys").delay(SECOND * 60)).await;
    other.enqueue(job("nobodys")).await;
    let broken = other.store();
    whole.shard(vec![Arc::new(one.memory.clone()), Arc::new(broken.clone())]);
    let listener = Listener::new(Manner::Takes);
    let worker = one.worker_on(&whole).kind("a", done());
    let handle = worker.alert_sink(listener.clone()).build().unwrap().start();
    one.pass(SECOND * 60 * 10).await;
    assert_eq!(listener.reasons(), [AlertReason::UnhandledKind]);
    let told = listener.told().remove(0);
    // The looks come every 60 to 75 s; by the younger one's due time it would be a minute less at each.
    assert!(told.span > SECOND * 300, "{:?}", told.span);
    let age = one.elapsed() - one.now().saturating_since(told.at);
    assert_eq!(told.span.as_secs(), age.as_secs(), "the older one's");
    // A part that says nothing neither ends the incident nor begins it anew.
    broken.all(Some(Fault::Lost));
    one.pass(SECOND * 60 * 10).await;
    broken.all(None);
    one.pass(SECOND * 60 * 10).await;
    assert_eq!(listener.reasons(), [AlertReason::UnhandledKind]);
    one.shut_down(handle).await;
}

#[tokio::test]
async fn silent_parts_are_left_together() {
    let world = World::new();
    let gate = CancellationToken::new();
    let parts: Vec<_> = (0..4).map(|_| World::beside(&world).store()).collect();
    let whole = world.store();
    for part in &parts {
        part.always(Op::Close, Some(Fault::HoldCall(gate.clone())));
    }
    let shard = |part: &FaultyStore| -> Arc<dyn TaskStore> { Arc::new(part.clone()) };
    whole.shard(parts.iter().map(shard).collect());
    let handle = world.worker_on(&whole).kind("a", done()).build().unwrap().start();
    world.finish("ready", handle.ready()).await;
    let since = world.elapsed();
    world.shut_down(handle).await;
    assert_eq!((world.elapsed() - since).as_secs(), 5, "for all of them");
}

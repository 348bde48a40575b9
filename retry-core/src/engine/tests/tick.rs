//! One bounded round.

use std::time::Duration;

use super::faulty::{Fault, Op};
use super::harness::{Meter, SECOND, WithKind as _, World, done, each_second, job, script, stuck};
use crate::clock::Clock as _;
use crate::engine::{KindOptions, Worker};
use crate::executor::Outcome;
use crate::name::Queue;
use crate::task::State;

async fn tick(world: &World, worker: &Worker, limit: Duration) -> Duration {
    let since = world.elapsed();
    world.finish("the tick", worker.tick(limit)).await.unwrap();
    world.elapsed() - since
}

#[tokio::test]
async fn it_ends_when_nothing_is_due() {
    for deaf in [false, true] {
        let world = World::new();
        let store = world.store();
        if deaf {
            store.deafen();
        }
        let worker = world.worker_on(&store).kind("a", done()).build().unwrap();
        assert!(
            tick(&world, &worker, SECOND * 60).await < SECOND * 2,
            "nothing to do"
        );
        let (due, later) = (
            world.enqueue(job("a")).await,
            world.enqueue(job("a").delay(SECOND * 30)).await,
        );
        assert!(tick(&world, &worker, SECOND * 60).await < SECOND * 2);
        assert_eq!(
            (world.state(due).await, world.state(later).await),
            (State::Succeeded, State::Pending)
        );
        assert_eq!(world.client.sessions().await.unwrap(), []);
        world.clock.advance(SECOND * 30);
        assert!(tick(&world, &worker, SECOND * 60).await < SECOND * 2);
        assert_eq!(world.state(later).await, State::Succeeded);
    }
}

/// What becomes due by the round's own work is part of the round, with and without hints.
#[tokio::test]
async fn it_goes_on_with_what_becomes_due() {
    for deaf in [false, true] {
        let world = World::new();
        let store = world.store();
        if deaf {
            store.deafen();
        }
        let clock = world.clock.clone();
        let nap = move || clock.sleep_until(clock.monotonic() + Duration::from_millis(10));
        let child_nap = nap.clone();
        let parent = script(move |ctx| {
            let nap = nap();
            async move {
                nap.await;
                ctx.enqueue_on_success(job("child"));
                Ok(match (ctx.step(), ctx.attempt(), ctx.checkpoint::<u32>()?) {
                    (0, 1, None) => Outcome::continue_after(&1, Duration::ZERO)?,
                    (0, ..) => Outcome::split([job("child"), job("child")]),
                    _ => Outcome::Done,
                })
            }
        });
        let child = script(move |_| {
            let nap = child_nap();
            async move {
                nap.await;
                Ok(Outcome::Done)
            }
        });
        let id = world.enqueue(job("parent")).await;
        let worker = world
            .worker_on(&store)
            .kind("parent", parent)
            .kind("child", child)
            .build()
            .unwrap();
        assert!(tick(&world, &worker, SECOND * 60).await < SECOND * 3);
        assert_eq!(world.state(id).await, State::Succeeded, "deaf: {deaf}");
        let counts = world
            .client
            .count(&crate::store::CountScope::default())
            .await
            .unwrap();
        assert_eq!(
            (counts.of(State::Succeeded), counts.of(State::Pending)),
            (4, 0),
            "deaf: {deaf}"
        );
    }
}

#[tokio::test]
async fn it_ends_at_its_limit() {
    let world = World::new();
    let id = world.enqueue(job("a").retry(each_second(1))).await;
    let worker = world.worker().shutdown_grace(SECOND).cancel_grace(SECOND);
    let worker = worker.kind("a", stuck()).build().unwrap();
    let took = tick(&world, &worker, SECOND * 5).await;
    assert!(took >= SECOND * 7 && took < SECOND * 8, "{took:?}");
    let task = world.detail(id).await.task;
    assert_eq!((task.state, task.attempt), (State::Pending, 0));
}

#[tokio::test]
async fn it_drains_a_limited_kind_beside_an_idle_one() {
    let world = World::new();
    let (store, meter) = (world.store(), Meter::default());
    store.deafen();
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(world.enqueue(job("limited")).await);
    }
    let (clock, inner) = (world.clock.clone(), meter.clone());
    let limited = script(move |_| {
        let (clock, inside) = (clock.clone(), inner.enter());
        async move {
            clock
                .sleep_until(clock.monotonic() + Duration::from_millis(10))
                .await;
            drop(inside);
            Ok(Outcome::Done)
        }
    });
    let worker = world.worker_on(&store).kind("idle", done());
    let worker = worker
        .kind_with("limited", limited, KindOptions::new().concurrency(1))
        .build()
        .unwrap();
    tick(&world, &worker, SECOND * 60).await;
    assert_eq!((meter.total(), meter.most()), (10, 1));
}

#[tokio::test]
async fn it_handles_alarms_and_waits_for_the_store() {
    let world = World::new();
    let store = world.store();
    store.deafen();
    let id = world.enqueue(job("a")).await;
    let waits = script(|ctx| async move {
        Ok(if ctx.step() == 0 {
            Outcome::Wait(SECOND * 10)
        } else {
            Outcome::Done
        })
    });
    let worker = world.worker_on(&store).kind("a", waits).build().unwrap();
    tick(&world, &worker, SECOND * 60).await;
    assert_eq!(world.state(id).await, State::Waiting);
    world.clock.advance(SECOND * 10);
    // The pump has found nothing long before the rescuer's second round.
    store.plan(Op::Expired, &Fault::Lost, 1);
    tick(&world, &worker, SECOND * 60).await;
    assert_eq!(world.state(id).await, State::Succeeded);
    let late = world.enqueue(job("a")).await;
    store.plan(Op::Open, &Fault::Lost, 2);
    tick(&world, &worker, SECOND * 60).await;
    assert_eq!(world.state(late).await, State::Waiting);
    store.plan(Op::Time, &Fault::Lost, 1);
    assert!(world.finish("the tick", worker.tick(SECOND)).await.is_err());
}

#[tokio::test]
async fn it_lasts_long_enough_to_rescue_what_a_lost_worker_left() {
    let world = World::new();
    let store = world.store();
    let id = world.enqueue(job("a").rescue_delay(Duration::ZERO)).await;
    let lost = world
        .worker_on(&store)
        .kind("a", stuck())
        .build()
        .unwrap()
        .start();
    world.until_state(id, State::Running).await;
    store.all(Some(Fault::Lost));
    drop(lost);
    let worker = world.worker().kind("a", done()).build().unwrap();
    assert!(
        tick(&world, &worker, SECOND * 60).await < SECOND * 2,
        "its lease holds"
    );
    world.clock.advance(SECOND * 20);
    let took = tick(&world, &worker, SECOND * 60).await;
    assert!(took >= SECOND * 3 && took < SECOND * 6, "{took:?}");
    assert_eq!(world.state(id).await, State::Succeeded);
}

#[tokio::test]
async fn a_paused_queue_is_left_alone() {
    let world = World::new();
    let queue = Queue::default();
    let id = world.enqueue(job("a")).await;
    world.client.pause(&queue).await.unwrap();
    let worker = world.worker().kind("a", done()).build().unwrap();
    assert!(tick(&world, &worker, SECOND * 60).await < SECOND * 2);
    assert_eq!(world.state(id).await, State::Pending);
    world.client.resume(&queue).await.unwrap();
    tick(&world, &worker, SECOND * 60).await;
    assert_eq!(world.state(id).await, State::Succeeded);
}

//! A worker with nothing to do asks seldom; one that misses its hints finds its tasks all the same.

use std::time::Duration;

use super::faulty::Op;
use super::harness::{SECOND, WithKind as _, World, done, job, stuck};
use crate::engine::KindOptions;
use crate::name::Queue;
use crate::task::State;

#[tokio::test]
async fn an_idle_worker_asks_about_once_a_second() {
    let world = World::new();
    let store = world.store();
    let worker = world
        .worker_on(&store)
        .queue("a")
        .queue("b")
        .queue("c")
        .kind("k", done());
    let handle = worker.build().unwrap().start();
    world.pass(SECOND * 5).await;
    let (exchanges, all) = (store.calls(Op::Exchange), store.all_calls());
    world.pass(SECOND * 100).await;
    let exchanges = store.calls(Op::Exchange) - exchanges;
    assert!((100..=130).contains(&exchanges), "{exchanges} for three queues");
    let all = store.all_calls() - all;
    assert!(all <= 320, "{all} calls of any kind in 100 s");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_full_worker_does_not_ask_at_all() {
    let world = World::new();
    let store = world.store();
    for _ in 0..10 {
        world.enqueue(job("limited")).await;
        world.enqueue(job("free")).await;
    }
    let options = KindOptions::new().concurrency(1);
    let worker = world.worker_on(&store).concurrency(2).prefetch(0);
    let worker = worker
        .kind_with("limited", stuck(), options)
        .kind("free", stuck());
    let handle = worker.build().unwrap().start();
    world.pass(SECOND * 10).await;
    assert_eq!(handle.running(), 2);
    let before = store.calls(Op::Exchange);
    world.pass(SECOND * 100).await;
    assert_eq!(store.calls(Op::Exchange) - before, 0);
    drop(handle);
}

#[tokio::test]
async fn a_kind_at_its_limit_does_not_make_the_worker_busy() {
    let world = World::new();
    let store = world.store();
    for _ in 0..10 {
        world.enqueue(job("limited")).await;
    }
    let options = KindOptions::new().concurrency(1);
    let worker = world
        .worker_on(&store)
        .kind_with("limited", stuck(), options)
        .kind("idle", done());
    let handle = worker.build().unwrap().start();
    world.pass(SECOND * 10).await;
    let before = store.calls(Op::Exchange);
    world.pass(SECOND * 100).await;
    let asked = store.calls(Op::Exchange) - before;
    assert!(asked <= 130, "{asked} calls in 100 s");
    drop(handle);
}

#[tokio::test]
async fn lost_hints_cost_one_poll() {
    let world = World::new();
    let store = world.store();
    store.deafen();
    let handle = world.worker_on(&store).kind("a", done()).build().unwrap().start();
    world.pass(SECOND * 3).await;
    let id = world.enqueue(job("a")).await;
    let since = world.elapsed();
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    assert!(world.elapsed() <= since + SECOND, "{:?}", world.elapsed() - since);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_hint_or_a_due_time_is_answered_at_once() {
    let world = World::new();
    let handle = world.worker().kind("a", done()).build().unwrap().start();
    world.pass(SECOND * 3).await;
    let (id, since) = (world.enqueue(job("a")).await, world.elapsed());
    world.until_final(id).await;
    assert_eq!(world.elapsed(), since);
    let delay = Duration::from_millis(2_345);
    let (id, since) = (world.enqueue(job("a").delay(delay)).await, world.elapsed());
    world.until_final(id).await;
    assert_eq!(world.elapsed(), since + delay);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_paused_queue_is_left_alone_until_it_is_resumed() {
    let world = World::new();
    let handle = world.worker().kind("a", done()).build().unwrap().start();
    world.client.pause(&Queue::default()).await.unwrap();
    let id = world.enqueue(job("a")).await;
    world.pass(SECOND * 60).await;
    assert_eq!(world.state(id).await, State::Pending);
    world.client.resume(&Queue::default()).await.unwrap();
    let since = world.elapsed();
    world.until_final(id).await;
    assert!(world.elapsed() <= since + SECOND);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_saturated_worker_with_many_queues_asks_about_once_a_second() {
    let world = World::new();
    let store = world.store();
    let mut worker = world.worker_on(&store).concurrency(32).kind("a", stuck());
    for queue in 0..20 {
        worker = worker.queue(format!("q{queue}"));
    }
    for _ in 0..32 {
        world.enqueue(job("a").queue("q7")).await;
    }
    let handle = worker.build().unwrap().start();
    world.pass(SECOND * 10).await;
    assert_eq!(handle.running(), 32);
    let before = store.calls(Op::Exchange);
    world.pass(SECOND * 100).await;
    let asked = store.calls(Op::Exchange) - before;
    assert!(asked <= 130, "{asked} calls in 100 s");
    drop(handle);
}

//! How a worker stops.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::faulty::{Fault, Op};
use super::harness::{
    SECOND, WithKind as _, World, done, each_second, job, quiet, script, stuck, until_cancelled,
};
use crate::clock::Clock as _;
use crate::executor::Outcome;
use crate::id::TaskId;
use crate::task::State;

async fn hand_out(world: &World, n: usize) -> Vec<TaskId> {
    let mut ids = Vec::new();
    for _ in 0..n {
        ids.push(world.enqueue(job("a").retry(each_second(1))).await);
    }
    ids
}

#[tokio::test]
async fn handlers_may_end_within_the_grace() {
    let world = World::new();
    let ids = hand_out(&world, 5).await;
    let clock = world.clock.clone();
    let slow = script(move |ctx| {
        let clock = clock.clone();
        async move {
            clock.sleep_until(clock.monotonic() + SECOND * 5).await;
            assert!(!ctx.is_cancelled());
            Ok(Outcome::Done)
        }
    });
    let handle = world
        .worker()
        .concurrency(2)
        .kind("a", slow)
        .build()
        .unwrap()
        .start();
    quiet().await;
    assert_eq!(handle.running(), 2);
    world.shut_down(handle).await;
    let mut states = Vec::new();
    for id in ids {
        let task = world.detail(id).await.task;
        states.push((task.state, task.attempt, task.crashes));
    }
    let (ran, handed_back) = ((State::Succeeded, 1, 0), (State::Pending, 0, 0));
    assert_eq!(states, [ran, ran, handed_back, handed_back, handed_back]);
    assert!(world.elapsed() <= SECOND * 6, "{:?}", world.elapsed());
    assert_eq!(world.client.sessions().await.unwrap(), []);
}

#[tokio::test]
async fn the_rest_is_cancelled_and_handed_back_without_costing_an_attempt() {
    for (executor, ends) in [(until_cancelled(), 10), (stuck(), 12)] {
        let world = World::new();
        let id = hand_out(&world, 1).await[0];
        let worker = world
            .worker()
            .shutdown_grace(SECOND * 10)
            .cancel_grace(SECOND * 2);
        let handle = worker.kind("a", executor).build().unwrap().start();
        world.until_state(id, State::Running).await;
        world.shut_down(handle).await;
        let task = world.detail(id).await.task;
        assert_eq!((task.state, task.attempt, task.crashes), (State::Pending, 0, 0));
        assert_eq!(world.elapsed().as_secs(), ends);
        assert_eq!(world.client.sessions().await.unwrap(), []);
    }
}

/// What a handler says for good counts, also when it was told to stop; a fallback does not begin then.
#[tokio::test]
async fn a_final_error_of_a_cancelled_handler_stands() {
    let world = World::new();
    let id = hand_out(&world, 1).await[0];
    let fallback = super::harness::Meter::default();
    let count = fallback.clone();
    let gives_up = script(|ctx| async move {
        ctx.cancelled().await;
        Err(crate::executor::Final::new("never").into())
    });
    let options = crate::engine::KindOptions::new().fallback_executor(
        0,
        script(move |_| {
            drop(count.enter());
            async { Ok(Outcome::Done) }
        }),
    );
    let handle = world
        .worker()
        .kind_with("a", gives_up, options)
        .build()
        .unwrap()
        .start();
    world.until_state(id, State::Running).await;
    world.shut_down(handle).await;
    let ended = world.detail(id).await;
    assert_eq!(
        (ended.task.state, ended.last_error.unwrap().as_str()),
        (State::Failed, "never")
    );
    assert_eq!(fallback.total(), 0);
}

#[tokio::test]
async fn a_claim_under_way_is_handed_back() {
    let world = World::new();
    let (store, gate) = (world.store(), CancellationToken::new());
    let handle = world.worker_on(&store).kind("a", done()).build().unwrap().start();
    world.pass(SECOND).await;
    store.plan(Op::Exchange, &Fault::HoldAnswer(gate.clone()), 1);
    let id = hand_out(&world, 1).await[0];
    quiet().await;
    let mut shutdown = std::pin::pin!(handle.shutdown());
    assert!(futures_util::FutureExt::now_or_never(&mut shutdown).is_none());
    gate.cancel();
    world.finish("the shutdown", shutdown).await;
    let task = world.detail(id).await.task;
    assert_eq!((task.state, task.attempt, task.crashes), (State::Pending, 0, 0));
}

#[tokio::test]
async fn the_last_outcomes_are_flushed_to_a_store_that_fails_for_a_while() {
    let world = World::new();
    let store = world.store();
    let id = hand_out(&world, 1).await[0];
    let faults = store.clone();
    let executor = script(move |_| {
        faults.plan(Op::Exchange, &Fault::Lost, 4);
        async { Ok(Outcome::Done) }
    });
    let handle = world
        .worker_on(&store)
        .kind("a", executor)
        .build()
        .unwrap()
        .start();
    world.until_state(id, State::Running).await;
    world.shut_down(handle).await;
    assert_eq!(world.state(id).await, State::Succeeded);
}

/// Whatever the store does, a shutdown ends.
#[tokio::test]
async fn a_store_that_is_gone_does_not_hold_the_shutdown_up() {
    let never = CancellationToken::new();
    for fault in [Fault::Lost, Fault::HoldCall(never.clone()), Fault::Panic] {
        let world = World::new();
        let store = world.store();
        hand_out(&world, 10).await;
        let worker = world
            .worker_on(&store)
            .concurrency(5)
            .kind("a", until_cancelled());
        let handle = worker.build().unwrap().start();
        world.pass(SECOND * 2).await;
        store.all(Some(fault.clone()));
        world.pass(SECOND * 3).await;
        let since = world.elapsed();
        world.shut_down(handle).await;
        let took = world.elapsed() - since;
        assert!(took <= SECOND * 40, "{fault:?}: {took:?}");
    }
}

/// A handler that waits for its checkpoint to be written.
#[tokio::test]
async fn a_checkpoint_that_is_never_answered_does_not_hold_the_shutdown_up() {
    let world = World::new();
    let store = world.store();
    let id = hand_out(&world, 1).await[0];
    let faults = store.clone();
    let executor = script(move |ctx| {
        faults.all(Some(Fault::Lost));
        async move {
            ctx.save_checkpoint(&1).await?;
            Ok(Outcome::Done)
        }
    });
    let handle = world
        .worker_on(&store)
        .kind("a", executor)
        .build()
        .unwrap()
        .start();
    world.until_state(id, State::Running).await;
    world.shut_down(handle).await;
    assert!(world.elapsed() <= SECOND * 60, "{:?}", world.elapsed());
}

#[tokio::test]
async fn a_lost_session_does_not_hold_the_shutdown_up() {
    let world = World::new();
    let store = world.store();
    let handle = world.worker_on(&store).kind("a", done()).build().unwrap().start();
    world.pass(SECOND).await;
    let session = world.client.sessions().await.unwrap()[0].info.id;
    crate::store::TaskStore::close_session(&world.memory, session)
        .await
        .unwrap();
    store.always(Op::Open, Some(Fault::Lost));
    world.pass(SECOND * 10).await;
    let since = world.elapsed();
    world.shut_down(handle).await;
    assert!(world.elapsed() <= since + SECOND, "{:?}", world.elapsed() - since);
}

#[tokio::test]
async fn a_dropped_handle_stops_the_worker() {
    let world = World::new();
    let (store, cancelled) = (world.store(), super::harness::Meter::default());
    let note = cancelled.clone();
    let executor = script(move |ctx| {
        let note = note.clone();
        async move {
            ctx.cancelled().await;
            drop(note.enter());
            Err("cancelled".into())
        }
    });
    let ids = hand_out(&world, 4).await;
    let handle = world
        .worker_on(&store)
        .concurrency(2)
        .kind("a", executor)
        .build()
        .unwrap()
        .start();
    world.until_state(ids[1], State::Running).await;
    quiet().await;
    drop(handle);
    quiet().await;
    assert_eq!(cancelled.total(), 2);
    let calls = store.all_calls();
    world.clock.advance(SECOND * 100);
    quiet().await;
    assert_eq!(store.all_calls(), calls, "nothing goes on");
    // As after a crash: another worker gets them when the lease is over.
    let other = world.worker().kind("a", done()).build().unwrap().start();
    for id in ids {
        assert!(world.until_final(id).await.task.state.is_final());
    }
    world.shut_down(other).await;
}

#[tokio::test]
async fn run_until_stops_gracefully_at_the_signal() {
    let world = World::new();
    let id = hand_out(&world, 1).await[0];
    let worker = world.worker().kind("a", done()).build().unwrap();
    let clock = world.clock.clone();
    let signal = async move {
        clock
            .sleep_until(clock.monotonic() + Duration::from_secs(3))
            .await
    };
    world.finish("the run", worker.run_until(signal)).await;
    assert_eq!(world.state(id).await, State::Succeeded);
    assert_eq!(world.client.sessions().await.unwrap(), []);
    assert!(world.elapsed() >= SECOND * 3 && world.elapsed() < SECOND * 5);
}

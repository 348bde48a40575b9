//! Why a task is not running, from its first wait to its end; a silent store and a silent part are reasons themselves.

use std::sync::Arc;

use super::client;
use crate::client::Client;
use crate::engine::tests::faulty::{Fault, FaultyStore, Op};
use crate::engine::tests::harness::{SECOND, WithKind as _, World, each_second, job, script, stuck};
use crate::executor::Outcome;
use crate::id::TaskId;
use crate::name::Queue;
use crate::store::StoreErrorKind;
use crate::task::State;
use crate::why::{Because, Joining, Lease, Reason};

async fn reason(client: &Client<FaultyStore>, id: TaskId) -> Reason {
    client.why(id).await.unwrap().reason
}

#[tokio::test]
async fn it_follows_a_task_through_its_life() {
    let world = World::new();
    let (client, _) = client(&world);
    assert!(matches!(reason(&client, TaskId::MIN).await, Reason::Missing));
    let later = world.enqueue(job("a").delay(SECOND * 9)).await;
    let because = reason(&client, later).await;
    assert!(
        matches!(
            because,
            Reason::Later {
                because: Because::Enqueued,
                ..
            }
        ),
        "{because:?}"
    );
    let id = world.enqueue(job("bad").retry(each_second(2))).await;
    assert!(matches!(reason(&client, id).await, Reason::NoWorker { serving, .. } if serving.is_empty()));
    client.pause(&Queue::default()).await.unwrap();
    assert!(matches!(reason(&client, id).await, Reason::Paused { .. }));
    client.resume(&Queue::default()).await.unwrap();
    let bad = script(|_| async { Err("refused".into()) });
    let handle = world.worker().kind("bad", bad).build().unwrap().start();
    world
        .until("the first failure", async || {
            !world.detail(id).await.failures.is_empty()
        })
        .await;
    let because = reason(&client, id).await;
    let refused = |because: &Reason| matches!(because, Reason::Later { because: Because::Retry { attempt: 1, error }, .. } if error.as_str() == "refused");
    assert!(refused(&because), "{because:?}");
    world.until_final(id).await;
    let ended = client.why(id).await.unwrap();
    assert!(ended.to_string().starts_with("it failed "), "{ended}");
    let unserved = world.enqueue(job("a")).await;
    let why = client.why(unserved).await.unwrap();
    assert!(
        why.to_string()
            .contains("no live worker serves kind a of queue default"),
        "{why}"
    );
    assert!(
        why.to_string().contains("tester (queues default; kinds bad)"),
        "{why}"
    );
    world.shut_down(handle).await;
}

#[tokio::test]
async fn it_tells_what_holds_a_task() {
    let world = World::new();
    let (client, _) = client(&world);
    let store = world.store();
    let waits = script(|_| async { Ok(Outcome::Wait(SECOND * 100)) });
    let splits = script(|_| async { Ok(Outcome::split([job("never"), job("never")])) });
    let worker = world
        .worker_on(&store)
        .concurrency(3)
        .prefetch(0)
        .kind("waits", waits);
    let handle = worker
        .kind("splits", splits)
        .kind("stuck", stuck())
        .build()
        .unwrap()
        .start();
    let (waits, splits) = (
        world.enqueue(job("waits")).await,
        world.enqueue(job("splits")).await,
    );
    world.until_state(waits, State::Waiting).await;
    assert!(matches!(
        reason(&client, waits).await,
        Reason::Waiting { until: Some(_), .. }
    ));
    world.until_state(splits, State::Joining).await;
    let joining = reason(&client, splits).await;
    assert!(
        matches!(&joining, Reason::Joining { children, next: Joining::Children } if children.open == 2),
        "{joining:?}"
    );
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.enqueue(job("stuck")).await);
    }
    world.until_state(ids[2], State::Running).await;
    let queued = reason(&client, ids[3]).await;
    assert!(
        matches!(&queued, Reason::Queued { ahead, workers: 1, .. } if ahead.is_empty()),
        "{queued:?}"
    );
    let running = reason(&client, ids[0]).await;
    assert!(
        matches!(&running, Reason::Running(running) if matches!(running.lease, Lease::Until(_))),
        "{running:?}"
    );
    store.all(Some(Fault::Lost));
    drop(handle);
    world.clock.advance(SECOND * 20);
    let lost = client.why(ids[0]).await.unwrap();
    assert!(
        matches!(&lost.reason, Reason::Running(running) if matches!(running.lease, Lease::EndedAt(_))),
        "{lost:?}"
    );
    assert!(lost.to_string().contains("tester on "), "{lost}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_the_reason() {
    let world = World::new();
    let (client, store) = client(&world);
    let id = world.enqueue(job("a")).await;
    for (op, asked) in [
        (Op::Get, "the task"),
        (Op::Time, "the time"),
        (Op::Sessions, "its workers' sessions"),
    ] {
        store.plan(op, &Fault::Lost, 1);
        let why = client.why(id).await.unwrap();
        let silent = matches!(&why.reason, Reason::NoAnswer { asked: is, part: None, .. } if *is == asked);
        assert!(silent, "{why:?}");
        assert!(
            why.to_string()
                .starts_with("the store did not answer when asked for"),
            "{why}"
        );
    }
    store.plan(Op::Get, &Fault::Rejected(StoreErrorKind::Corrupt), 1);
    assert!(client.why(id).await.is_err(), "no later call mends it");
}

#[tokio::test]
async fn the_part_that_has_the_task_is_asked() {
    let one = World::new();
    let other = World::beside(&one);
    let (client, whole) = client(&one);
    let broken = one.store();
    whole.shard(vec![Arc::new(broken.clone()), Arc::new(other.memory.clone())]);
    let here = one.enqueue(job("a")).await;
    // Both worlds draw from the same seed: the ids differ by their times.
    one.clock.advance(SECOND);
    let there = other.enqueue(job("a")).await;
    for id in [here, there] {
        assert!(matches!(reason(&client, id).await, Reason::NoWorker { .. }));
    }
    assert!(matches!(reason(&client, TaskId::MIN).await, Reason::Missing));
    broken.all(Some(Fault::Lost));
    assert!(matches!(reason(&client, there).await, Reason::NoWorker { .. }));
    let why = client.why(here).await.unwrap();
    assert!(
        matches!(why.reason, Reason::NoAnswer { part: Some(0), .. }),
        "{why:?}"
    );
    assert!(
        why.to_string().starts_with("part 0 of the store did not answer"),
        "{why}"
    );
}

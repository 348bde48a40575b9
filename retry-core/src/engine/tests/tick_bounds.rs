//! The bounds of a tick, and what it tells of itself.

use std::sync::Arc;
use std::time::Duration;

use super::faulty::{Fault, Op};
use super::harness::{Meter, SECOND, WithKind as _, World, done, each_second, job, script, stuck};
use crate::clock::Clock as _;
use crate::draft::Draft;
use crate::engine::{KindOptions, ScanWindow, Skipped, TickEnd, TickOptions, TickSummary, Worker};
use crate::executor::{Final, Outcome};
use crate::id::TaskId;
use crate::name::{Kind, Queue};
use crate::payload::Payload;
use crate::store::{CountScope, StoreErrorKind, TaskStore as _};
use crate::task::{Retention, State};

async fn tick(world: &World, worker: &Worker, options: TickOptions) -> TickSummary {
    let summary = world.finish("the tick", worker.tick(options)).await.unwrap();
    assert_eq!(
        world.client.sessions().await.unwrap(),
        [],
        "no session is left behind"
    );
    summary
}

async fn many(world: &World, n: usize) -> Vec<TaskId> {
    let mut ids = Vec::new();
    for _ in 0..n {
        ids.push(world.enqueue(job("a")).await);
    }
    ids
}

#[tokio::test]
async fn the_limit_is_kept_by_one_part_and_by_several() {
    for deaf in [false, true] {
        let world = World::new();
        let store = world.store();
        if deaf {
            store.deafen();
        }
        let worker = world.worker_on(&store).kind("a", done()).build().unwrap();
        many(&world, 5).await;
        let none = tick(&world, &worker, TickOptions::new().limit(0)).await;
        assert_eq!((none.claimed, none.ended), (0, TickEnd::Limit));
        let two = tick(&world, &worker, TickOptions::new().limit(2)).await;
        assert_eq!((two.claimed, two.succeeded, two.ended), (2, 2, TickEnd::Limit));
        assert!(two.may_be_more());
        let rest = tick(&world, &worker, TickOptions::new().limit(10)).await;
        assert_eq!((rest.claimed, rest.ended), (3, TickEnd::NothingDue));
        assert!(!rest.may_be_more() && world.elapsed() < SECOND * 5);
    }
    let (one, whole) = (World::new(), World::new().store());
    let other = World::beside(&one);
    whole.shard(vec![Arc::new(one.memory.clone()), Arc::new(other.memory.clone())]);
    many(&one, 4).await;
    many(&other, 4).await;
    let worker = one.worker_on(&whole).kind("a", done()).build().unwrap();
    let five = tick(&one, &worker, TickOptions::new().limit(5)).await;
    assert_eq!((five.claimed, five.succeeded, five.ended), (5, 5, TickEnd::Limit));
    let rest = tick(&one, &worker, TickOptions::new().limit(5)).await;
    assert_eq!((rest.claimed, rest.ended), (3, TickEnd::NothingDue));
}

#[tokio::test]
async fn only_the_given_tasks_run_and_only_from_the_given_states() {
    let world = World::new();
    let fails = script(|_| async { Err(Final::new("no").into()) });
    let worker = world
        .worker()
        .kind("a", done())
        .kind("fails", fails)
        .build()
        .unwrap();
    let (due, other) = (world.enqueue(job("a")).await, world.enqueue(job("a")).await);
    let later = world.enqueue(job("a").delay(SECOND * 60)).await;
    let failed = world.enqueue(job("fails")).await;
    let unknown = world.enqueue(job("unknown")).await;
    tick(&world, &worker, TickOptions::new().ids([failed])).await;
    assert_eq!(world.state(failed).await, State::Failed);
    let all = [due, later, failed, unknown, TaskId::MIN];
    let summary = tick(&world, &worker, TickOptions::new().ids(all)).await;
    assert_eq!((summary.claimed, summary.succeeded), (1, 1));
    let at = world.detail(later).await.task.run_at;
    let (queue, kind) = (Queue::default(), Kind::new("unknown").unwrap());
    let mut skipped = vec![
        (later, Skipped::NotDue(at)),
        (failed, Skipped::State(State::Failed)),
        (unknown, Skipped::NotServed { queue, kind }),
        (TaskId::MIN, Skipped::Missing),
    ];
    skipped.sort_by_key(|(id, _)| *id);
    assert_eq!(summary.skipped, skipped);
    assert_eq!(
        (world.state(due).await, world.state(other).await),
        (State::Succeeded, State::Pending)
    );

    let forced = TickOptions::new().ids([later, failed, due]);
    let forced = forced.from_states([State::Pending, State::Failed]);
    let summary = tick(&world, &worker, forced).await;
    assert_eq!((summary.claimed, summary.succeeded, summary.failed), (2, 1, 1));
    assert_eq!(summary.skipped, [(due, Skipped::State(State::Succeeded))]);
    let (later, failed) = (world.detail(later).await.task, world.detail(failed).await.task);
    assert_eq!(
        (later.state, failed.state, failed.reruns),
        (State::Succeeded, State::Failed, 1)
    );
}

#[tokio::test]
async fn given_tasks_run_beyond_the_limits_of_their_kind_and_what_cannot_is_told() {
    let world = World::new();
    let meter = Meter::default();
    let (clock, inner) = (world.clock.clone(), meter.clone());
    let slow = script(move |_| {
        let (clock, inside) = (clock.clone(), inner.enter());
        async move {
            clock
                .sleep_until(clock.monotonic() + Duration::from_millis(10))
                .await;
            drop(inside);
            Ok(Outcome::Done)
        }
    });
    let worker = world
        .worker()
        .kind_with("a", slow, KindOptions::new().concurrency(2));
    let worker = worker.prefetch(0).build().unwrap();
    let ids = many(&world, 9).await;
    let summary = tick(&world, &worker, TickOptions::new().ids(ids)).await;
    assert_eq!((summary.claimed, summary.succeeded, meter.most()), (9, 9, 2));
    assert!(world.elapsed() < SECOND * 5, "{:?}", world.elapsed());

    let held = world.enqueue(job("a")).await;
    world.client.pause(&Queue::default()).await.unwrap();
    let summary = tick(&world, &worker, TickOptions::new().ids([held])).await;
    assert_eq!(summary.skipped, [(held, Skipped::NotClaimed)]);
    world.client.resume(&Queue::default()).await.unwrap();
    let key = |draft: Draft| draft.unique("k");
    let first = world.enqueue(key(job("a"))).await;
    tick(&world, &worker, TickOptions::new()).await;
    world.enqueue(key(job("a").delay(SECOND * 60))).await;
    let taken = TickOptions::new().ids([first]).from_states([State::Succeeded]);
    let summary = tick(&world, &worker, taken).await;
    assert!(
        matches!(&summary.skipped[..], [(id, Skipped::Refused(why))] if *id == first && why.contains("unique key"))
    );
}

#[tokio::test]
async fn a_window_bounds_the_due_times() {
    let world = World::new();
    let worker = || world.worker().kind("a", done());
    let now = world.now();
    let due = |age: u32| now.saturating_sub(SECOND * age);
    let mut ids = Vec::new();
    for age in [40, 30, 20, 10, 0] {
        ids.push(world.enqueue(job("a").run_at(due(age))).await);
    }
    let left = async || {
        let mut pending = Vec::new();
        for (index, id) in ids.iter().enumerate() {
            if world.state(*id).await == State::Pending {
                pending.push(index);
            }
        }
        pending
    };
    let plain = worker().build().unwrap();
    let window = TickOptions::new().not_before(due(35)).not_after(due(25));
    let summary = tick(&world, &plain, window).await;
    assert_eq!((summary.claimed, summary.ended), (1, TickEnd::NothingDue));
    assert_eq!(left().await, [0, 2, 3, 4]);
    let recent = worker().scan_window(ScanWindow::new().max_age(SECOND * 25).min_age(SECOND * 15));
    let recent = recent.build().unwrap();
    assert_eq!(tick(&world, &recent, TickOptions::new()).await.claimed, 1);
    assert_eq!(left().await, [0, 3, 4]);
    let inner = TickOptions::new().not_after(due(30));
    assert_eq!(tick(&world, &recent, inner).await.claimed, 0, "both windows hold");
    assert_eq!(
        tick(
            &world,
            &plain,
            TickOptions::new().ids(ids.clone()).not_before(due(5))
        )
        .await
        .claimed,
        1
    );
    assert_eq!(left().await, [0, 3]);
    // A worker that goes on has a window that moves with the time.
    let aged = worker().scan_window(ScanWindow::new().max_age(SECOND * 60).min_age(SECOND * 15));
    let handle = aged.build().unwrap().start();
    world.until_state(ids[3], State::Succeeded).await;
    let waited = world.now().saturating_since(now);
    assert!(waited >= SECOND * 5 && waited < SECOND * 9, "{waited:?}");
    assert_eq!(left().await, Vec::<usize>::new());
    world.shut_down(handle).await;
}

#[tokio::test]
async fn every_end_of_an_attempt_is_counted() {
    let world = World::new();
    let answers = |answer: fn() -> super::harness::Answer| script(move |_| std::future::ready(answer()));
    let worker = world
        .worker()
        .kind("good", done())
        .kind("bad", answers(|| Err("no".into())))
        .kind("fatal", answers(|| Err(Final::new("no").into())))
        .kind("snoozes", answers(|| Ok(Outcome::Snooze(SECOND * 60))))
        .kind("waits", answers(|| Ok(Outcome::Wait(SECOND * 60))))
        .kind(
            "splits",
            answers(|| Ok(Outcome::split([job("good").delay(SECOND * 60)]))),
        )
        .build()
        .unwrap();
    for kind in ["good", "good", "bad", "fatal", "snoozes", "waits", "splits"] {
        world.enqueue(job(kind)).await;
    }
    let forgotten = Retention {
        succeeded: Some(Duration::ZERO),
        ..Retention::default()
    };
    world.enqueue(job("good").retention(forgotten)).await;
    let summary = tick(&world, &worker, TickOptions::new()).await;
    assert_eq!((summary.claimed, summary.unrecorded()), (8, 0), "{summary:?}");
    assert_eq!((summary.succeeded, summary.failed, summary.retried), (3, 1, 1));
    assert_eq!((summary.put_off, summary.waiting, summary.cancelled), (1, 2, 0));
    assert_eq!(summary.ended, TickEnd::NothingDue);
}

#[tokio::test]
async fn when_its_time_is_over_the_rest_is_handed_back() {
    let world = World::new();
    let worker = world
        .worker()
        .concurrency(1)
        .shutdown_grace(SECOND)
        .cancel_grace(SECOND);
    let worker = worker.kind("a", stuck()).build().unwrap();
    for _ in 0..3 {
        world.enqueue(job("a").retry(each_second(1))).await;
    }
    let before = world.elapsed();
    let summary = tick(&world, &worker, TickOptions::from(SECOND * 5)).await;
    assert!(world.elapsed() - before < SECOND * 8);
    assert_eq!(
        (summary.ended, summary.unrecorded()),
        (TickEnd::Time, 0),
        "{summary:?}"
    );
    assert_eq!(summary.put_off, summary.claimed);
    let counts = world.client.count(&CountScope::default()).await.unwrap();
    assert_eq!(counts.of(State::Pending), 3);
}

#[tokio::test]
async fn a_store_that_is_silent_costs_no_more_than_the_time() {
    let world = World::new();
    let store = world.store();
    let never = tokio_util::sync::CancellationToken::new();
    store.always(Op::Time, Some(Fault::HoldCall(never)));
    let worker = world.worker_on(&store).kind("a", done()).build().unwrap();
    let before = world.elapsed();
    let error = world
        .finish("the tick", worker.tick(SECOND * 5))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_eq!(world.elapsed() - before, SECOND * 5);
}

#[tokio::test]
async fn a_silent_part_does_not_stop_the_tick_of_the_others() {
    let one = World::new();
    let other = World::beside(&one);
    let (whole, broken) = (one.store(), other.store());
    broken.all(Some(Fault::Lost));
    whole.shard(vec![Arc::new(broken), Arc::new(one.memory.clone())]);
    let id = one.enqueue(job("a")).await;
    let worker = one.worker_on(&whole).kind("a", done()).build().unwrap();
    let ticked = one.finish("the tick", worker.tick(SECOND * 5)).await.unwrap();
    assert_eq!((ticked.succeeded, ticked.ended), (1, TickEnd::Time));
    assert_eq!(
        one.memory.get(id).await.unwrap().unwrap().task.state,
        State::Succeeded
    );
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_happens() {
    let world = World::new();
    let store = world.store();
    let worker = world.worker_on(&store).kind("a", done()).build().unwrap();
    let now = world.now();
    for options in [
        TickOptions::new().ids(std::iter::repeat_n(TaskId::MIN, 1_001)),
        TickOptions::new().from_states([State::Pending]),
        TickOptions::new()
            .not_before(now)
            .not_after(now.saturating_sub(SECOND)),
    ] {
        let error = worker.tick(options).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    }
    assert_eq!(store.all_calls(), 0);
    let raw = Draft::raw("a", Payload::null());
    world.enqueue(raw).await;
    let most = TickOptions::new().ids(std::iter::repeat_n(TaskId::MIN, 1_000));
    assert_eq!(tick(&world, &worker, most).await.claimed, 0);
}

//! Sinks of alerts: cool-downs, queues that are full, and that no sink disturbs the worker or another sink.

use std::sync::Arc;
use std::time::Duration;

use super::harness::{SECOND, WithKind as _, World, done, each_second, job, quiet, script};
use super::listener::{Listener, Manner};
use crate::alert::{AlertCounts, AlertOptions, AlertReason, AlertRule, CoolDownBy};
use crate::engine::WorkerBuilder;
use crate::executor::Executor;

use AlertReason::{AttemptFailed, TaskFailed};

fn fails() -> Arc<dyn Executor> {
    script(|_| async { Err("primary".into()) })
}

fn each() -> AlertOptions {
    AlertOptions::new().cool_down(Duration::ZERO)
}

#[tokio::test]
async fn a_cool_down_holds_back_and_counts() {
    for (by, tasks_told) in [(CoolDownBy::Kind, 1), (CoolDownBy::Task, 3)] {
        let (world, listener) = (World::new(), Listener::new(Manner::Takes));
        for _ in 0..3 {
            world.enqueue(job("a").retry(each_second(4))).await;
        }
        let options = AlertOptions::new().cool_down(SECOND * 2).cool_down_by(by);
        let handle = world
            .worker()
            .kind("a", fails())
            .alert(AlertRule::always())
            .alert_sink(listener.clone())
            .alert_options(options)
            .build()
            .unwrap()
            .start();
        world.pass(SECOND * 5).await;
        let told = listener.told();
        let of = |reason| told.iter().filter(move |alert| alert.reason == reason);
        // The attempts come at 0, 1, 2 and 3 s, the last as dead letters.
        assert_eq!(of(AttemptFailed).count(), 2 * tasks_told, "{by:?}");
        assert_eq!(of(TaskFailed).count(), 3, "{by:?}: dead letters are each told");
        let held_back: u64 = of(AttemptFailed).map(|alert| alert.suppressed).sum();
        let counts = handle.alerts();
        assert_eq!(counts.suppressed, 9 - 2 * tasks_told as u64, "{by:?}");
        assert!(held_back > 0 && held_back <= counts.suppressed);
        assert_eq!(counts.raised, told.len() as u64);
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_dropped_alert_starts_no_cool_down() {
    let (world, listener) = (World::new(), Listener::new(Manner::Hangs));
    let mut worker = world.worker();
    for kind in ["a", "b", "c"] {
        world.enqueue(job(kind).retry(each_second(100))).await;
        worker = worker.kind(kind, fails());
    }
    let handle = worker
        .alert(AlertRule::always())
        .alert_sink(listener.clone())
        // One is delivered and one waits, or less; so one of three is dropped at first.
        .alert_options(AlertOptions::new().queue(1).timeout(SECOND * 5))
        .build()
        .unwrap()
        .start();
    world.pass(SECOND).await;
    assert!(handle.alerts().dropped > 0);
    world.pass(SECOND * 25).await;
    let mut kinds: Vec<_> = listener
        .told()
        .into_iter()
        .filter_map(|alert| alert.kind)
        .collect();
    kinds.sort();
    let kinds: Vec<_> = kinds.iter().map(crate::name::Kind::as_str).collect();
    assert_eq!(kinds, ["a", "b", "c"], "each within its cool-down's minute");
    world.shut_down(handle).await;
}

fn worker_with(world: &World, listener: &Listener) -> WorkerBuilder {
    world
        .worker()
        .kind("a", fails())
        .kind("good", done())
        .alert(AlertRule::always())
        .alert_sink(listener.clone())
        .alert_options(each())
}

#[tokio::test]
async fn a_sink_that_fails_or_panics_is_counted_and_the_next_alert_comes() {
    for manner in [Manner::Fails, Manner::Panics] {
        let (world, listener, other) = (World::new(), Listener::new(manner), Listener::new(Manner::Takes));
        let id = world.enqueue(job("a").retry(each_second(3))).await;
        let handle = worker_with(&world, &listener)
            .alert_sink(other.clone())
            .build()
            .unwrap()
            .start();
        world.until_final(id).await;
        quiet().await;
        let AlertCounts {
            raised,
            delivered,
            failed,
            dropped,
            ..
        } = handle.alerts();
        assert_eq!((raised, delivered, failed, dropped), (3, 3, 3, 0), "{manner:?}");
        assert_eq!(listener.attempts(), other.attempts());
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_sink_that_hangs_disturbs_nobody_and_what_does_not_fit_is_counted() {
    let (world, listener) = (World::new(), Listener::new(Manner::Hangs));
    for _ in 0..20 {
        world.enqueue(job("a").retry(each_second(1))).await;
    }
    let options = each().queue(5).timeout(SECOND * 30);
    let handle = worker_with(&world, &listener)
        .alert_options(options)
        .build()
        .unwrap()
        .start();
    world.pass(SECOND).await;
    assert_eq!(listener.told().len(), 1, "the first is under way");
    let counts = handle.alerts();
    assert_eq!(counts.raised + counts.dropped, 20);
    assert!((5..=6).contains(&counts.raised), "{counts:?}");
    let (good, since) = (world.enqueue(job("good")).await, world.elapsed());
    world.until_final(good).await;
    assert_eq!(world.elapsed(), since, "the worker goes on");
    world.pass(SECOND * 30).await;
    assert_eq!((handle.alerts().failed, listener.told().len()), (1, 2));
    drop(handle);
}

#[tokio::test]
async fn a_shutdown_gives_the_last_alerts_a_sinks_time_within_bounds() {
    for (timeout, gives) in [(1, 5), (7, 7), (10, 10), (30, 10)] {
        let (world, listener) = (World::new(), Listener::new(Manner::Hangs));
        for _ in 0..20 {
            world.enqueue(job("a").retry(each_second(1))).await;
        }
        let handle = worker_with(&world, &listener)
            .alert_options(each().timeout(SECOND * timeout))
            .build()
            .unwrap()
            .start();
        world.pass(SECOND).await;
        let since = world.elapsed();
        world.shut_down(handle).await;
        // The delivery that is under way then, like any call, has five more.
        let took = (world.elapsed() - since).as_secs();
        assert!((gives..=gives + 5).contains(&took), "{timeout}: {took}");
    }
}

#[tokio::test]
async fn a_sink_that_hangs_takes_nothing_from_another() {
    let (world, dead, other) = (
        World::new(),
        Listener::new(Manner::Hangs),
        Listener::new(Manner::Takes),
    );
    for second in 0..20 {
        let task = job("a").delay(SECOND * second).retry(each_second(1));
        world.enqueue(task).await;
    }
    let handle = worker_with(&world, &dead)
        .alert_sink(other.clone())
        .alert_options(each().queue(5).timeout(SECOND * 30))
        .build()
        .unwrap()
        .start();
    world.pass(SECOND * 20).await;
    assert_eq!((dead.told().len(), other.told().len()), (1, 20));
    let counts = handle.alerts();
    assert_eq!((counts.raised, counts.dropped, counts.delivered), (20, 14, 20));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_dead_letter_takes_the_place_of_another_alert() {
    let (world, listener) = (World::new(), Listener::new(Manner::Hangs));
    world.enqueue(job("a").retry(each_second(100))).await;
    world
        .enqueue(job("b").delay(SECOND).retry(each_second(100)))
        .await;
    for second in [2, 3] {
        let task = job("dead").delay(SECOND * second).retry(each_second(1));
        world.enqueue(task).await;
    }
    let handle = world
        .worker()
        .kind("a", fails())
        .kind("b", fails())
        .kind("dead", fails())
        .alert(AlertRule::always())
        .alert_sink(listener.clone())
        .alert_options(AlertOptions::new().queue(1).timeout(SECOND * 5))
        .build()
        .unwrap()
        .start();
    world.pass(SECOND * 4).await;
    assert_eq!(listener.attempts(), [(1, AttemptFailed)], "it is under way");
    let counts = handle.alerts();
    assert_eq!(counts.raised, 3, "a, b, and the first that is dead in b's place");
    assert!(counts.dropped >= 2, "{counts:?}: b, and the second that is dead");
    world.pass(SECOND * 16).await;
    assert_eq!(listener.reasons(), [AttemptFailed, TaskFailed, AttemptFailed]);
    let last = listener.told().pop().unwrap();
    assert_eq!(last.kind.unwrap().as_str(), "b", "no cool-down of what gave way");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_shutdown_delivers_what_waits() {
    let (world, listener) = (World::new(), Listener::new(Manner::Takes));
    for _ in 0..50 {
        world.enqueue(job("a").retry(each_second(1))).await;
    }
    let worker = worker_with(&world, &listener).build().unwrap();
    world.finish("the tick", worker.tick(SECOND * 10)).await.unwrap();
    assert_eq!(listener.reasons(), [TaskFailed; 50]);
}

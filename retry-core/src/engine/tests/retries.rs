//! Failed attempts: when the next one comes, and when none does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::harness::{SECOND, WithKind as _, World, each_second, job, script, stuck};
use crate::draft::Draft;
use crate::engine::KindOptions;
use crate::executor::Outcome;
use crate::policy::{Backoff, Jitter, RetryPolicy};
use crate::task::State;
use crate::time::Timestamp;

fn doubling(attempts: u32) -> RetryPolicy {
    RetryPolicy::builder()
        .backoff(Backoff::plain_exponential(SECOND * 10, 2).unwrap())
        .jitter(Jitter::None)
        .max_attempts(attempts)
        .build()
        .unwrap()
}

#[tokio::test]
async fn retries_come_at_the_policys_times_and_the_history_tells_them() {
    let world = World::new();
    let started: Arc<Mutex<Vec<Timestamp>>> = Arc::default();
    let (times, clock) = (Arc::clone(&started), world.clock.clone());
    let executor = script(move |ctx| {
        use crate::clock::Clock as _;
        times.lock().unwrap().push(clock.now());
        async move {
            match ctx.attempt() {
                4 => Ok(Outcome::Done),
                n => Err(format!("error {n}").into()),
            }
        }
    });
    let id = world.enqueue(job("a").retry(doubling(4))).await;
    let options = KindOptions::new().retry(doubling(1));
    let handle = world
        .worker()
        .kind_with("a", executor, options)
        .build()
        .unwrap()
        .start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 4));
    let started = started.lock().unwrap().clone();
    let waits: Vec<_> = started
        .windows(2)
        .map(|pair| pair[1].saturating_since(pair[0]).as_secs())
        .collect();
    assert_eq!(waits, [10, 20, 40]);
    let failures: Vec<_> = ended
        .failures
        .iter()
        .map(|failure| {
            (
                failure.attempt,
                failure.started_at,
                failure.error.as_str().to_owned(),
            )
        })
        .collect();
    let told = |n: u32, at| (n, at, format!("error {n}"));
    assert_eq!(
        failures,
        [told(1, started[0]), told(2, started[1]), told(3, started[2])]
    );
    let worker = ended.failures[0].worker.as_ref().map(|name| name.as_str());
    assert_eq!(worker, Some("tester"));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn used_up_attempts_fail_the_task() {
    let world = World::new();
    let id = world.enqueue(job("a").retry(each_second(3))).await;
    let fails = script(|_| async { Err("no".into()) });
    let handle = world.worker().kind("a", fails).build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Failed, 3));
    assert_eq!(ended.failures.len(), 3);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn no_retry_follows_the_give_up_time() {
    let world = World::new();
    let policy = each_second(100)
        .to_builder()
        .give_up_after(SECOND * 5)
        .build()
        .unwrap();
    let id = world.enqueue(job("a").retry(policy)).await;
    let fails = script(|_| async { Err("no".into()) });
    let handle = world.worker().kind("a", fails).build().unwrap().start();
    let ended = world.until_final(id).await;
    // At 0, 1, 2, 3, 4 seconds; the next would start at the give-up time itself.
    assert_eq!((ended.task.state, ended.task.attempt), (State::Failed, 5));
    world.shut_down(handle).await;
}

fn limited(limit: Duration) -> KindOptions {
    KindOptions::new().timeout(limit)
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_fails_whether_it_listens_or_not() {
    let listens = script(|ctx| async move {
        ctx.cancelled().await;
        Err("I was told to stop".into())
    });
    for (executor, attempt_takes) in [(listens, 30), (stuck(), 32)] {
        let world = World::new();
        let id = world
            .enqueue(Draft::raw("a", crate::payload::Payload::null()).retry(each_second(2)))
            .await;
        let worker = world.worker().cancel_grace(SECOND * 2).concurrency(1);
        let handle = worker
            .kind_with("a", executor, limited(SECOND * 30))
            .build()
            .unwrap()
            .start();
        let ended = world.until_final(id).await;
        assert_eq!((ended.task.state, ended.task.attempt), (State::Failed, 2));
        assert_eq!(ended.last_error.unwrap().as_str(), "no answer within 30s");
        let took = ended.failures[0]
            .ended_at
            .saturating_since(ended.failures[0].started_at);
        assert_eq!(took.as_secs(), attempt_takes);
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_result_within_the_grace_counts() {
    let world = World::new();
    let id = world.enqueue(job("a")).await;
    let late = script(|ctx| async move {
        ctx.cancelled().await;
        Ok(Outcome::Done)
    });
    let handle = world
        .worker()
        .kind_with("a", late, limited(SECOND))
        .build()
        .unwrap()
        .start();
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_panic_while_a_cancelled_handler_is_dropped_harms_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("dropped");
            }
        }
    }
    let world = World::new();
    let id = world.enqueue(job("a").retry(each_second(2))).await;
    let executor = script(|ctx| async move {
        if ctx.attempt() == 1 {
            let _bomb = Bomb;
            std::future::pending::<()>().await;
        }
        Ok(Outcome::Done)
    });
    let worker = world
        .worker()
        .concurrency(1)
        .kind_with("a", executor, limited(SECOND));
    let handle = worker.build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 2));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_give_up_time_ends_also_a_task_that_is_told_to_come_back_for_ever() {
    let world = World::new();
    let policy = RetryPolicy::builder()
        .endless()
        .give_up_after(SECOND * 60)
        .build()
        .unwrap();
    for (kind, outcome) in [
        ("snoozes", Outcome::Snooze(SECOND)),
        (
            "continues",
            Outcome::Continue(crate::payload::Payload::null(), SECOND),
        ),
    ] {
        let id = world.enqueue(job(kind).retry(policy.clone())).await;
        let executor = script(move |_| {
            let outcome = outcome.clone();
            async move { Ok(outcome) }
        });
        let handle = world.worker().kind(kind, executor).build().unwrap().start();
        let ended = world.until_final(id).await;
        assert_eq!(ended.task.state, State::Failed, "{kind}");
        assert!(
            ended.last_error.unwrap().as_str().contains("give-up time"),
            "{kind}"
        );
        world.shut_down(handle).await;
    }
}

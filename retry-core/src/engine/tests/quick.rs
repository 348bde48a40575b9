//! Quick retries inside an attempt.

use std::sync::Arc;
use std::time::Duration;

use super::harness::{Meter, SECOND, WithKind as _, World, done, each_second, job, quiet, script};
use crate::engine::{BuildError, KindOptions};
use crate::executor::{Executor, Final, Outcome};
use crate::task::{State, TaskDetail};

const MS: Duration = Duration::from_millis(1);

/// Fails so often, then succeeds.
fn fails(runs: &Meter, times: usize) -> Arc<dyn Executor> {
    let runs = runs.clone();
    script(move |ctx| {
        let inside = runs.enter();
        async move {
            ctx.enqueue_on_success(job("follow"));
            if inside.total() <= times {
                return Err(format!("run {}", inside.total()).into());
            }
            Ok(Outcome::Done)
        }
    })
}

async fn ended(world: &World, executor: Arc<dyn Executor>, options: KindOptions) -> TaskDetail {
    let id = world.enqueue(job("a").retry(each_second(1))).await;
    let worker = world.worker().kind_with("a", executor, options);
    let handle = worker.build().unwrap().start();
    let ended = world.until_final(id).await;
    world.shut_down(handle).await;
    ended
}

#[tokio::test]
async fn they_repeat_inside_the_attempt() {
    let (world, runs) = (World::new(), Meter::default());
    let options = KindOptions::new().quick_retries(3, MS * 10, SECOND);
    let ended = ended(&world, fails(&runs, 2), options).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 1));
    assert_eq!(
        (ended.task.version, runs.total()),
        (2, 3),
        "claim and success only"
    );
    assert_eq!(world.elapsed(), MS * 30, "10 ms, then 20");
    let follow_ups = world.list(crate::store::TaskFilter::default()).await.len() - 1;
    assert_eq!(follow_ups, 1, "those of failed runs are void");
}

#[tokio::test]
async fn their_number_is_bounded_and_recorded() {
    let (world, runs) = (World::new(), Meter::default());
    let options = KindOptions::new().quick_retries(2, MS, SECOND);
    let ended = ended(&world, fails(&runs, 9), options).await;
    assert_eq!((ended.task.state, runs.total()), (State::Failed, 3));
    let error = ended.failures[0].error.as_str();
    assert_eq!((error, ended.failures.len()), ("after 2 quick retries: run 3", 1));
}

#[tokio::test]
async fn their_time_is_bounded() {
    let (world, runs) = (World::new(), Meter::default());
    let options = KindOptions::new().quick_retries(100, MS * 100, SECOND);
    let ended = ended(&world, fails(&runs, 99), options).await;
    assert_eq!(ended.task.state, State::Failed);
    // At 0, 100, 300 and 700 ms; the next would be at 1,500.
    assert_eq!((runs.total(), world.elapsed()), (4, MS * 700));
}

#[tokio::test]
async fn the_timeout_counts_for_all_runs() {
    let (world, runs) = (World::new(), Meter::default());
    let count = runs.clone();
    let clock = world.clock.clone();
    let executor = script(move |_| {
        let (clock, inside) = (clock.clone(), count.enter());
        async move {
            let _inside = inside;
            crate::clock::Clock::sleep_until(&clock, crate::clock::Clock::monotonic(&clock) + MS * 400).await;
            Err("slow".into())
        }
    });
    let options = KindOptions::new()
        .quick_retries(100, MS, SECOND * 60)
        .timeout(SECOND);
    let ended = ended(&world, executor, options).await;
    // The third began at 802 ms, was told to stop at the second, and ended within its grace.
    assert_eq!((runs.total(), world.elapsed()), (3, MS * 1_203));
    assert_eq!(
        ended.failures[0].error.as_str(),
        "after 2 quick retries: no answer within 1s"
    );
}

#[tokio::test]
async fn the_fallback_comes_after_them() {
    let (world, runs) = (World::new(), Meter::default());
    let count = runs.clone();
    let fallback = script(move |_| {
        let runs = count.total();
        async move { Ok(Outcome::output(&runs)?) }
    });
    let options = KindOptions::new()
        .quick_retries(2, MS, SECOND)
        .fallback_executor(0, fallback);
    let ended = ended(&world, fails(&runs, 9), options).await;
    assert!(ended.via_fallback);
    assert_eq!(ended.output.unwrap().as_json(), "3");
}

#[tokio::test]
async fn a_final_error_is_not_repeated() {
    let (world, runs) = (World::new(), Meter::default());
    let count = runs.clone();
    let executor = script(move |_| {
        drop(count.enter());
        async { Err(Final::new("never").into()) }
    });
    let options = KindOptions::new().quick_retries(5, MS, SECOND);
    let ended = ended(&world, executor, options).await;
    assert_eq!((ended.task.state, runs.total()), (State::Failed, 1));
    assert_eq!(ended.failures[0].error.as_str(), "never");
}

#[tokio::test]
async fn a_shutdown_ends_the_pause() {
    let (world, runs) = (World::new(), Meter::default());
    let id = world.enqueue(job("a")).await;
    let options = KindOptions::new().quick_retries(1, SECOND * 60, SECOND * 90);
    let worker = world.worker().shutdown_grace(Duration::ZERO);
    let worker = worker.kind_with("a", fails(&runs, 9), options);
    let handle = worker.build().unwrap().start();
    world.until("it ran", async || runs.total() == 1).await;
    quiet().await;
    let before = world.elapsed();
    world.shut_down(handle).await;
    assert!(world.elapsed() < before + SECOND);
    assert_eq!(runs.total(), 1);
    let task = world.detail(id).await.task;
    assert_eq!(
        (task.state, task.attempt),
        (State::Pending, 1),
        "a failed attempt"
    );
}

#[tokio::test]
async fn nonsense_is_refused() {
    let refused = |times, within| {
        let options = KindOptions::new().quick_retries(times, MS, within);
        World::new()
            .worker()
            .kind_with("a", done(), options)
            .build()
            .unwrap_err()
    };
    for error in [refused(0, SECOND), refused(1, Duration::ZERO)] {
        assert!(matches!(error, BuildError::Zero(_)), "{error}");
    }
}

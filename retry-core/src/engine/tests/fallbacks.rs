//! The fallback: runs in the same attempt, after a failure beyond its threshold.

use super::harness::{Answer, Meter, SECOND, WithKind as _, World, each_second, job, script, stuck};
use crate::engine::KindOptions;
use crate::executor::{Ctx, Final, Outcome};
use crate::task::{State, TaskDetail};

fn fails() -> std::sync::Arc<dyn crate::executor::Executor> {
    script(|_| async { Err("primary".into()) })
}

async fn run<F, Fut>(
    primary: std::sync::Arc<dyn crate::executor::Executor>,
    threshold: u32,
    fallback: F,
    options: KindOptions,
) -> TaskDetail
where
    F: Fn(Ctx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let world = World::new();
    let id = world.enqueue(job("a").retry(each_second(3))).await;
    let options = options.fallback_executor(threshold, script(fallback));
    let handle = world
        .worker()
        .kind_with("a", primary, options)
        .build()
        .unwrap()
        .start();
    let ended = world.until_final(id).await;
    world.shut_down(handle).await;
    ended
}

#[tokio::test]
async fn it_runs_from_the_threshold_on_and_its_success_counts() {
    for (threshold, attempt) in [(0, 1), (1, 2), (2, 3)] {
        let ended = run(
            fails(),
            threshold,
            |_| async { Ok(Outcome::output("rescued")?) },
            KindOptions::new(),
        );
        let ended = ended.await;
        assert_eq!(
            (ended.task.state, ended.task.attempt),
            (State::Succeeded, attempt)
        );
        assert!(ended.via_fallback);
        assert_eq!(ended.output.unwrap().as_json(), "\"rescued\"");
        assert_eq!(ended.failures.len(), attempt as usize - 1);
    }
}

#[tokio::test]
async fn its_failure_leaves_the_primarys_decision() {
    let (meter, count) = (Meter::default(), Meter::default());
    let inner = count.clone();
    let ended = run(
        fails(),
        1,
        move |_| {
            drop(inner.enter());
            async { Err(Final::new("fallback").into()) }
        },
        KindOptions::new(),
    );
    let ended = ended.await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Failed, 3));
    assert_eq!(ended.last_error.unwrap().as_str(), "primary");
    assert_eq!((count.total(), meter.total()), (2, 0));
}

#[tokio::test]
async fn a_final_primary_is_rescued_too_and_is_final_otherwise() {
    let last = || script(|_| async { Err(Final::new("never").into()) });
    let ended = run(last(), 0, |_| async { Ok(Outcome::Done) }, KindOptions::new()).await;
    assert_eq!((ended.task.state, ended.via_fallback), (State::Succeeded, true));
    let ended = run(last(), 0, |_| async { panic!("too") }, KindOptions::new()).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Failed, 1));
    assert_eq!(ended.last_error.unwrap().as_str(), "never");
}

#[tokio::test]
async fn it_follows_a_timeout_with_a_time_of_its_own() {
    let executor = |ctx: Ctx| async move {
        assert!(!ctx.is_cancelled(), "the timeout was the primary's");
        Ok(Outcome::Done)
    };
    let ended = run(stuck(), 0, executor, KindOptions::new().timeout(SECOND)).await;
    assert_eq!((ended.task.state, ended.via_fallback), (State::Succeeded, true));
    let ended = run(
        stuck(),
        0,
        |_| std::future::pending(),
        KindOptions::new().timeout(SECOND),
    )
    .await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Failed, 3));
}

#[tokio::test]
async fn the_primarys_follow_ups_are_void() {
    let world = World::new();
    let id = world.enqueue(job("a")).await;
    let primary = script(|ctx| async move {
        ctx.enqueue_on_success(job("of-primary"));
        Err("no".into())
    });
    let fallback = script(|ctx| async move {
        ctx.enqueue_on_success(job("of-fallback"));
        Ok(Outcome::Done)
    });
    let options = KindOptions::new().fallback_executor(0, fallback);
    let handle = world
        .worker()
        .kind_with("a", primary, options)
        .build()
        .unwrap()
        .start();
    world.until_final(id).await;
    let all = world.list(crate::store::TaskFilter::default()).await;
    let mut kinds: Vec<_> = all.iter().map(|task| task.kind.to_string()).collect();
    kinds.sort();
    assert_eq!(kinds, ["a", "of-fallback"]);
    world.shut_down(handle).await;
}

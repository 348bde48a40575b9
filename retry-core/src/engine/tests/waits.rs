//! Waits for a completion from outside, by token.

use std::sync::{Arc, Mutex};

use super::harness::{SECOND, WithKind as _, World, each_second, job, script};
use crate::client::Error;
use crate::engine::{WorkerBuilder, WorkerHandle};
use crate::executor::Outcome;
use crate::id::TaskId;
use crate::machine::Rejected;
use crate::task::{OnWaitDeadline, State, WaitToken};

const MINUTE: std::time::Duration = std::time::Duration::from_mins(1);

/// What each run saw: its step, its attempt and the completion of the step before.
type Seen = Arc<Mutex<Vec<(u32, u32, Option<String>)>>>;

/// Waits in step 0, is done in step 1.
fn waiter(worker: WorkerBuilder) -> (WorkerHandle, Seen) {
    let seen = Seen::default();
    let runs = Arc::clone(&seen);
    let executor = script(move |ctx| {
        let completion = ctx.completion::<String>().unwrap();
        runs.lock().unwrap().push((ctx.step(), ctx.attempt(), completion));
        async move {
            Ok(if ctx.step() == 0 {
                Outcome::Wait(MINUTE)
            } else {
                Outcome::Done
            })
        }
    });
    (worker.kind("a", executor).build().unwrap().start(), seen)
}

async fn token(world: &World, id: TaskId) -> WaitToken {
    world.detail(id).await.task.wait_token()
}

#[tokio::test]
async fn a_completion_starts_the_next_step_with_its_data() {
    let world = World::new();
    let id = world.enqueue(job("a")).await;
    let (handle, seen) = waiter(world.worker());
    let waiting = world.until_state(id, State::Waiting).await.task;
    let text = waiting.wait_token().to_string();
    let token: WaitToken = text.parse().unwrap();
    world.client.complete(token, "hello").await.unwrap();
    let again = world.client.complete(token, "again").await;
    assert!(matches!(again, Err(Error::AlreadyDone)), "{again:?}");
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    assert_eq!(
        *seen.lock().unwrap(),
        [(0, 1, None), (1, 1, Some("hello".into()))]
    );
    let late = world.client.succeed(token, &1).await;
    assert!(matches!(late, Err(Error::AlreadyDone)), "{late:?}");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_token_ends_the_task_or_repeats_its_step() {
    let world = World::new();
    let (handle, seen) = waiter(world.worker());
    let [fails, succeeds, retries] = [
        world.enqueue(job("a")).await,
        world.enqueue(job("a")).await,
        world.enqueue(job("a")).await,
    ];
    for id in [fails, succeeds, retries] {
        world.until_state(id, State::Waiting).await;
    }
    world
        .client
        .fail(token(&world, fails).await, "rejected")
        .await
        .unwrap();
    let failed = world.detail(fails).await;
    assert_eq!(
        (failed.task.state, failed.last_error.unwrap().as_str()),
        (State::Failed, "rejected")
    );
    world
        .client
        .succeed(token(&world, succeeds).await, &42)
        .await
        .unwrap();
    let succeeded = world.detail(succeeds).await;
    assert_eq!(
        (succeeded.task.state, succeeded.output.unwrap().as_json()),
        (State::Succeeded, "42")
    );
    seen.lock().unwrap().clear();
    let first = token(&world, retries).await;
    let at = world.now().saturating_add(SECOND * 10);
    world.client.retry(first, at, "not yet").await.unwrap();
    world.until_state(retries, State::Waiting).await;
    assert_eq!(
        *seen.lock().unwrap(),
        [(0, 2, None)],
        "the same step, the next attempt"
    );
    assert_eq!(token(&world, retries).await, first);
    world.client.complete(first, "now").await.unwrap();
    assert_eq!(world.until_final(retries).await.task.state, State::Succeeded);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_wrong_token_finds_nothing() {
    let world = World::new();
    let id = world.enqueue(job("a")).await;
    let (handle, _) = waiter(world.worker());
    world.until_state(id, State::Waiting).await;
    let right = token(&world, id).await;
    let secret = WaitToken {
        secret: right.secret ^ 1,
        ..right
    };
    let future = WaitToken { step: 1, ..right };
    let other = WaitToken {
        task: TaskId::MIN,
        ..right
    };
    for wrong in [secret, future, other] {
        let answer = world.client.complete(wrong, "x").await;
        assert!(matches!(answer, Err(Error::NotFound(_))), "{answer:?}");
    }
    assert_eq!(world.state(id).await, State::Waiting);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn an_early_completion_acts_as_soon_as_the_task_waits() {
    let world = World::new();
    let id = world.enqueue(job("a").delay(SECOND)).await;
    let token = token(&world, id).await;
    world.client.complete(token, "early").await.unwrap();
    let second = world.client.fail(token, "second").await;
    assert!(matches!(second, Err(Error::AlreadyDone)), "{second:?}");
    let (handle, seen) = waiter(world.worker());
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    assert_eq!(
        *seen.lock().unwrap(),
        [(0, 1, None), (1, 1, Some("early".into()))]
    );
    assert!(world.elapsed() < SECOND * 3, "{:?}", world.elapsed());
    world.shut_down(handle).await;
}

#[tokio::test]
async fn an_early_end_ends_the_task_without_a_further_run() {
    let world = World::new();
    let (fails, succeeds) = (world.enqueue(job("a")).await, world.enqueue(job("a")).await);
    world
        .client
        .fail(token(&world, fails).await, "rejected")
        .await
        .unwrap();
    world
        .client
        .succeed(token(&world, succeeds).await, &42)
        .await
        .unwrap();
    let (handle, seen) = waiter(world.worker());
    let failed = world.until_final(fails).await;
    assert_eq!(
        (failed.task.state, failed.last_error.unwrap().as_str()),
        (State::Failed, "rejected")
    );
    let succeeded = world.until_final(succeeds).await;
    assert_eq!(
        (succeeded.task.state, succeeded.output.unwrap().as_json()),
        (State::Succeeded, "42")
    );
    assert_eq!(seen.lock().unwrap().len(), 2, "each ran its first step only");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_retry_cannot_come_early() {
    let world = World::new();
    let id = world.enqueue(job("a").delay(SECOND)).await;
    let token = token(&world, id).await;
    let refused = world.client.retry(token, world.now(), "not yet").await;
    assert!(
        matches!(&refused, Err(Error::Rejected(Rejected::State(State::Pending)))),
        "{refused:?}"
    );
    let (handle, _) = waiter(world.worker());
    world.until_state(id, State::Waiting).await;
    world.client.retry(token, world.now(), "not yet").await.unwrap();
    world.shut_down(handle).await;
}

#[tokio::test]
async fn retries_by_token_use_up_the_attempts() {
    let world = World::new();
    let id = world.enqueue(job("a").retry(each_second(3))).await;
    let (handle, seen) = waiter(world.worker());
    for attempt in 1..=3 {
        let waiting = world.until_state(id, State::Waiting).await.task;
        assert_eq!((waiting.step, waiting.attempt), (0, attempt));
        let answer = world.client.retry(waiting.wait_token(), world.now(), "no answer");
        answer.await.unwrap();
    }
    let ended = world.detail(id).await;
    assert_eq!(
        (ended.task.state, ended.last_error.unwrap().as_str()),
        (State::Failed, "no answer")
    );
    assert_eq!(seen.lock().unwrap().len(), 3);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_wait_deadline_resumes_or_fails() {
    let world = World::new();
    let resumes = world
        .enqueue(job("a").on_wait_deadline(OnWaitDeadline::Resume))
        .await;
    let fails = world
        .enqueue(job("a").on_wait_deadline(OnWaitDeadline::Fail))
        .await;
    let (handle, seen) = waiter(world.worker());
    let resumed = world.until_final(resumes).await;
    assert_eq!((resumed.task.state, resumed.task.step), (State::Succeeded, 1));
    let failed = world.until_final(fails).await;
    assert_eq!(failed.task.state, State::Failed);
    assert!(failed.last_error.unwrap().as_str().contains("deadline"));
    assert_eq!(seen.lock().unwrap().last(), Some(&(1, 1, None)));
    assert!(world.elapsed() >= MINUTE && world.elapsed() < MINUTE + SECOND * 5);
    let late = world.client.complete(resumed.task.wait_token(), "late").await;
    assert!(matches!(late, Err(Error::AlreadyDone)), "{late:?}");
    world.shut_down(handle).await;
}

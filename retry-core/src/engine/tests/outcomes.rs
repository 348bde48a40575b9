//! What a handler may answer, and what becomes of its task.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::harness::{SECOND, WithKind as _, World, done, job, script};
use crate::draft::{Draft, TaskPayload};
use crate::engine::WorkerBuilder;
use crate::executor::{Final, HandlerError, Outcome};
use crate::payload::Payload;
use crate::priority::Priority;
use crate::task::{Retention, State};

#[tokio::test]
async fn success_is_recorded_with_its_output() {
    let world = World::new();
    let (plain, rich) = (
        world.enqueue(job("plain")).await,
        world.enqueue(job("rich")).await,
    );
    let worker = world.worker().kind("plain", done());
    let worker = worker.kind("rich", script(|_| async { Ok(Outcome::output(&[1, 2])?) }));
    let handle = worker.build().unwrap().start();
    let ended = world.until_final(plain).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 1));
    assert_eq!(
        (ended.output, ended.via_fallback, ended.failures.len()),
        (None, false, 0)
    );
    let ended = world.until_final(rich).await;
    assert_eq!(ended.output.unwrap().as_json(), "[1,2]");
    world.shut_down(handle).await;
    assert_eq!(world.client.sessions().await.unwrap(), []);
}

#[tokio::test]
async fn a_success_that_is_not_kept_is_forgotten_at_once() {
    let world = World::new();
    let retention = Retention {
        succeeded: Some(Duration::ZERO),
        ..Retention::default()
    };
    let id = world.enqueue(job("a").retention(retention)).await;
    let handle = world.worker().kind("a", done()).build().unwrap().start();
    world
        .until("it is forgotten", async || {
            world.client.get(id).await.unwrap().is_none()
        })
        .await;
    world.shut_down(handle).await;
}

/// Runs one task of kind `a` to its end.
async fn ended(world: &World, worker: WorkerBuilder) -> (State, u32, Vec<String>) {
    let id = world.enqueue(job("a")).await;
    let handle = worker.build().unwrap().start();
    let ended = world.until_final(id).await;
    world.shut_down(handle).await;
    let errors = ended
        .failures
        .iter()
        .map(|failure| failure.error.as_str().to_owned());
    (ended.task.state, ended.task.attempt, errors.collect())
}

#[tokio::test]
async fn a_final_error_fails_at_once() {
    fn refused() -> std::io::Error {
        std::io::Error::other("refused")
    }
    let world = World::new();
    let plain = script(|_| async { Err(Final::new(refused()).into()) });
    let anyhow = script(|_| async {
        let error = anyhow::Error::new(Final::new(refused())).context("sending");
        Err(HandlerError::from(error))
    });
    let eyre = script(|_| async {
        let error = eyre::Report::new(Final::new(refused())).wrap_err("sending");
        Err(HandlerError::from(error))
    });
    for (executor, text) in [
        (plain, "refused"),
        (anyhow, "sending: refused"),
        (eyre, "sending: refused"),
    ] {
        let worker = world.worker().kind("a", executor);
        assert_eq!(
            ended(&world, worker).await,
            (State::Failed, 1, vec![text.to_owned()])
        );
    }
}

#[tokio::test]
async fn a_stop_fails_with_its_reason() {
    let world = World::new();
    let stop = script(|_| async { Ok(Outcome::Stop("no such customer".into())) });
    let worker = world.worker().kind("a", stop);
    let expected = (State::Failed, 1, vec!["no such customer".to_owned()]);
    assert_eq!(ended(&world, worker).await, expected);
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_the_worker_goes_on() {
    let world = World::new();
    let panics = script(|ctx| async move {
        assert!(ctx.attempt() > 2, "attempt {}", ctx.attempt());
        Ok(Outcome::Done)
    });
    let worker = world.worker().concurrency(1).kind("a", panics);
    let texts = [1, 2].map(|n| format!("the handler panicked: attempt {n}"));
    assert_eq!(ended(&world, worker).await, (State::Succeeded, 3, texts.to_vec()));
}

#[tokio::test]
async fn an_error_that_panics_when_it_is_shown_is_a_failed_attempt() {
    #[derive(Debug)]
    struct Rude;
    impl std::fmt::Display for Rude {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("not shown")
        }
    }
    impl std::error::Error for Rude {}
    let world = World::new();
    let rude = script(|ctx| async move {
        if ctx.attempt() == 1 {
            Err(Rude.into())
        } else {
            Ok(Outcome::Done)
        }
    });
    let worker = world.worker().concurrency(1).kind("a", rude);
    let texts = vec!["the handler panicked: not shown".to_owned()];
    assert_eq!(ended(&world, worker).await, (State::Succeeded, 2, texts));
}

#[tokio::test]
async fn a_snooze_and_a_continue_do_not_count() {
    let world = World::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let calls = Arc::clone(&seen);
    let executor = script(move |ctx| {
        let call = {
            let mut calls = calls.lock().unwrap();
            calls.push((ctx.attempt(), ctx.checkpoint::<u32>().unwrap()));
            calls.len()
        };
        async move {
            Ok(match call {
                1 => Outcome::Snooze(SECOND * 10),
                2 => Outcome::continue_after(&7, SECOND * 10)?,
                _ => Outcome::Done,
            })
        }
    });
    let worker = world.worker().kind("a", executor);
    assert_eq!(ended(&world, worker).await, (State::Succeeded, 1, vec![]));
    assert_eq!(*seen.lock().unwrap(), [(1, None), (1, None), (1, Some(7))]);
    assert!(world.elapsed() >= SECOND * 20);
    assert!(world.elapsed() < SECOND * 25, "{:?}", world.elapsed());
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Typed {
    n: u32,
}

impl TaskPayload for Typed {
    const KIND: &'static str = "typed";
}

#[tokio::test]
async fn an_undecodable_payload_fails_at_once_and_is_not_quoted() {
    let world = World::new();
    let payload = Payload::from_json(r#"{"n":"secret"}"#).unwrap();
    let id = world.enqueue(Draft::raw("typed", payload)).await;
    let worker = world.worker().handler(|typed: Typed| async move {
        assert!(typed.n < u32::MAX);
        Ok::<(), HandlerError>(())
    });
    let handle = worker.build().unwrap().start();
    let good = world.enqueue(Typed { n: 1 }.into()).await;
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Failed, 1));
    let error = ended.last_error.unwrap();
    assert!(
        error.as_str().starts_with("the payload does not decode"),
        "{error}"
    );
    assert!(!error.as_str().contains("secret"), "{error}");
    assert_eq!(world.until_final(good).await.task.state, State::Succeeded);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn unknown_kinds_are_parked_and_block_nobody() {
    let world = World::new();
    let mut parked = Vec::new();
    for _ in 0..150 {
        parked.push(world.enqueue(job("foreign").priority(Priority::Urgent)).await);
    }
    let id = world.enqueue(job("a")).await;
    let handle = world.worker().kind("a", done()).build().unwrap().start();
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    world.pass(SECOND * 60).await;
    for id in parked {
        let task = world.detail(id).await.task;
        assert_eq!((task.state, task.attempt), (State::Pending, 0));
    }
    world.shut_down(handle).await;
}

#[tokio::test]
async fn urgent_tasks_come_first() {
    let world = World::new();
    for (n, priority) in [Priority::Low, Priority::Normal, Priority::Urgent, Priority::High]
        .into_iter()
        .enumerate()
    {
        let draft = Draft::raw("a", Payload::encode(&n).unwrap()).header("n", n.to_string());
        world.enqueue(draft.priority(priority)).await;
    }
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let executor = script(move |ctx| {
        let n = ctx.headers().get("n").unwrap_or_default().to_owned();
        seen.lock().unwrap().push(n);
        async { Ok(Outcome::Done) }
    });
    let handle = world
        .worker()
        .concurrency(1)
        .kind("a", executor)
        .build()
        .unwrap()
        .start();
    world
        .until("all ran", async || order.lock().unwrap().len() == 4)
        .await;
    assert_eq!(*order.lock().unwrap(), ["2", "3", "1", "0"]);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn follow_ups_are_enqueued_on_success_only() {
    let world = World::new();
    let executor = script(|ctx| async move {
        ctx.enqueue_on_success(job("next").header("from", ctx.attempt().to_string()));
        if ctx.attempt() < 3 {
            Err("not yet".into())
        } else {
            Ok(Outcome::Done)
        }
    });
    let id = world.enqueue(job("a")).await;
    let handle = world
        .worker()
        .kind("a", executor)
        .kind("next", done())
        .build()
        .unwrap()
        .start();
    world.until_final(id).await;
    world.pass(SECOND * 5).await;
    let all = world.list(crate::store::TaskFilter::default()).await;
    assert_eq!(all.len(), 2);
    let next = world.detail(all[0].id).await;
    assert_eq!((next.task.state, next.task.parent), (State::Succeeded, None));
    assert_eq!(next.headers.get("from"), Some("3"));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn an_invalid_or_too_large_outcome_fails_the_task_with_the_reason() {
    let world = World::new();
    let invalid = script(|ctx| async move {
        ctx.enqueue_on_success(job("no spaces"));
        Ok(Outcome::Done)
    });
    let many = script(|ctx| async move {
        (0..1_001).for_each(|_| ctx.enqueue_on_success(job("b")));
        Ok(Outcome::Done)
    });
    let large = script(|ctx| async move {
        let text = Payload::encode(&"x".repeat(1_000_000))?;
        (0..9).for_each(|_| ctx.enqueue_on_success(Draft::raw("b", text.clone())));
        Ok(Outcome::Done)
    });
    for executor in [invalid, many, large] {
        let worker = world.worker().kind("a", executor);
        let (state, attempt, errors) = ended(&world, worker).await;
        assert_eq!((state, attempt), (State::Failed, 1));
        assert!(errors[0].starts_with("its outcome is invalid"), "{errors:?}");
    }
}

#[tokio::test]
async fn a_context_knows_its_task() {
    let world = World::new();
    let draft = job("a").header("k", "v").queue("q").deadline_after(SECOND * 60);
    let id = world.enqueue(draft).await;
    let start = world.now();
    let executor = script(move |ctx| async move {
        assert_eq!(
            (ctx.id(), ctx.kind().as_str(), ctx.queue().as_str()),
            (id, "a", "q")
        );
        assert_eq!(
            (ctx.attempt(), ctx.version(), ctx.step(), ctx.reruns()),
            (1, 1, 0, 0)
        );
        assert_eq!(ctx.headers().get("k"), Some("v"));
        assert_eq!(ctx.deadline(), Some(start.saturating_add(SECOND * 60)));
        assert_eq!((ctx.created_at(), ctx.children().total), (start, 0));
        assert!(!ctx.is_cancelled() && !ctx.is_dry_run());
        assert_eq!(ctx.completion::<u32>()?, None);
        assert_eq!((ctx.wait_token().task, ctx.wait_token().step), (id, 0));
        Ok(Outcome::Done)
    });
    let handle = world
        .worker()
        .queue("q")
        .kind("a", executor)
        .build()
        .unwrap()
        .start();
    let ended = world.until_final(id).await;
    assert_eq!(
        ended.task.state,
        State::Succeeded,
        "{:?}",
        ended.last_error.map(|e| e.to_string())
    );
    world.shut_down(handle).await;
}

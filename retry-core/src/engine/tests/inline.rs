//! Attempts in the caller's own future: `run_inline` and `try_first`.

use std::sync::Arc;

use futures_util::FutureExt as _;

use super::faulty::{Fault, Op};
use super::harness::{
    Meter, SECOND, WithKind as _, World, done, each_second, job, quiet, script, stuck, until_cancelled,
};
use crate::client::{Client, Error, Inline};
use crate::engine::{KindOptions, WorkerHandle};
use crate::executor::{Executor, Final, Outcome};
use crate::store::{Inserted, MemoryStore, StoreErrorKind, TaskFilter};
use crate::task::{Retention, State};

struct Here {
    world: World,
    client: Client<MemoryStore>,
    handle: WorkerHandle,
}

async fn here(executor: Arc<dyn Executor>) -> Here {
    here_with(executor, KindOptions::new()).await
}

async fn here_with(executor: Arc<dyn Executor>, options: KindOptions) -> Here {
    let world = World::new();
    let worker = world.worker().concurrency(1).kind_with("a", executor, options);
    let handle = worker.build().unwrap().start();
    handle.ready().await;
    let client = world.client.attach(&handle);
    Here {
        world,
        client,
        handle,
    }
}

/// Fails once, then succeeds.
fn fails_once() -> Arc<dyn Executor> {
    script(|ctx| async move {
        if ctx.attempt() == 1 {
            return Err("once".into());
        }
        Ok(Outcome::Done)
    })
}

async fn nothing_stored(world: &World) -> bool {
    world.list(TaskFilter::default()).await.is_empty()
}

#[tokio::test]
async fn inline_answers_what_is_recorded() {
    let here = here(script(|_| async { Ok(Outcome::output(&7)?) })).await;
    let run = here.client.enqueue(job("a")).run_inline();
    let inline = here.world.finish("the run", run).await.unwrap();
    assert_eq!(inline.output::<u32>().unwrap(), Some(7));
    let stored = here.world.list(TaskFilter::default()).await;
    assert_eq!((stored[0].state, stored[0].version), (State::Succeeded, 2));
    let forgotten = job("a").retention(Retention {
        succeeded: Some(std::time::Duration::ZERO),
        ..Retention::default()
    });
    let run = here.client.enqueue(forgotten).run_inline();
    let inline = here.world.finish("the run", run).await.unwrap();
    assert_eq!(
        inline.output::<u32>().unwrap(),
        Some(7),
        "also when nothing is kept"
    );
    assert_eq!(here.world.list(TaskFilter::default()).await.len(), 1);
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn an_inline_failure_is_retried_by_the_workers() {
    let here = here(fails_once()).await;
    let run = here.client.enqueue(job("a")).run_inline();
    let inline = here.world.finish("the run", run).await.unwrap();
    let Inline::Retrying { id, at, error } = inline else {
        panic!("{inline:?}");
    };
    assert_eq!(
        (error.as_str(), at),
        ("once", here.world.now().saturating_add(SECOND))
    );
    let ended = here.world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 2));
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn every_outcome_has_its_answer() {
    let executor = script(|ctx| async move {
        match ctx.headers().get("do") {
            Some("stop") => Ok(Outcome::Stop("enough".into())),
            Some("final") => Err(Final::new("for good").into()),
            Some("snooze") => Ok(Outcome::Snooze(SECOND * 1_000)),
            Some("wait") => Ok(Outcome::Wait(SECOND * 1_000)),
            Some("split") => Ok(Outcome::split([job("b")])),
            Some("panic") => panic!("boom"),
            _ => Ok(Outcome::Done),
        }
    });
    let here = here(executor).await;
    let run = async |what: &str| {
        let run = here.client.enqueue(job("a").header("do", what)).run_inline();
        let inline = here.world.finish("the run", run).await.unwrap();
        let tried = here.client.enqueue(job("a").header("do", what)).try_first();
        let tried = here.world.finish("the try", tried).await.unwrap();
        [inline, tried]
    };
    for inline in run("stop").await {
        assert!(
            matches!(&inline, Inline::Failed { error, .. } if error.as_str() == "enough"),
            "{inline:?}"
        );
    }
    for inline in run("final").await {
        assert!(
            matches!(&inline, Inline::Failed { error, .. } if error.as_str() == "for good"),
            "{inline:?}"
        );
    }
    for inline in run("snooze").await {
        let at = here.world.now().saturating_add(SECOND * 1_000);
        assert!(
            matches!(inline, Inline::Later { at: due, .. } if due == at),
            "{inline:?}"
        );
    }
    for inline in run("split").await {
        assert!(matches!(inline, Inline::Split { .. }), "{inline:?}");
    }
    for inline in run("panic").await {
        assert!(
            matches!(&inline, Inline::Retrying { error, .. } if error.as_str().contains("boom")),
            "{inline:?}"
        );
    }
    for inline in run("wait").await {
        let Inline::Waiting { id, token } = inline else {
            panic!("{inline:?}");
        };
        here.client.succeed(token, "ok").await.unwrap();
        assert_eq!(here.world.state(id).await, State::Succeeded);
    }
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn what_cannot_run_here_is_enqueued_in_every_mode() {
    let here = here(done()).await;
    let later = || job("a").delay(SECOND * 60);
    let inline = here.client.enqueue(later()).run_inline().await.unwrap();
    let tried = here.client.enqueue(later()).try_first().await.unwrap();
    for inline in [inline, tried] {
        let Inline::Enqueued(enqueued) = inline else {
            panic!("{inline:?}");
        };
        assert_eq!(enqueued.inserted, Inserted::New { leased: false });
        assert_eq!(here.world.state(enqueued.id).await, State::Pending);
    }
    let alone = &here.world.client;
    let refused = alone.enqueue(job("a")).run_inline().await;
    assert!(matches!(refused, Err(Error::NotAttached)));
    let refused = alone.enqueue(job("a")).try_first().await;
    assert!(matches!(refused, Err(Error::NotAttached)));
    assert_eq!(
        here.world.list(TaskFilter::default()).await.len(),
        2,
        "nothing was written"
    );
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn a_dropped_inline_run_is_handed_back() {
    let (runs, world) = (Meter::default(), World::new());
    let count = runs.clone();
    let executor = script(move |_| {
        let inside = count.enter();
        async move {
            if inside.total() == 1 {
                std::future::pending::<()>().await;
            }
            Ok(Outcome::Done)
        }
    });
    let handle = world
        .worker()
        .concurrency(1)
        .kind("a", executor)
        .build()
        .unwrap()
        .start();
    handle.ready().await;
    let client = world.client.attach(&handle);
    let mut run = Box::pin(client.enqueue(job("a")).run_inline());
    assert!((&mut run).now_or_never().is_none());
    assert_eq!((runs.total(), handle.running()), (1, 1));
    drop(run);
    let stored = world.list(TaskFilter::default()).await;
    let ended = world.until_final(stored[0].id).await;
    assert_eq!(
        (ended.task.state, ended.task.attempt),
        (State::Succeeded, 1),
        "not counted"
    );
    assert_eq!((runs.total(), runs.most(), handle.running()), (2, 1, 0));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn an_inline_run_ends_with_its_worker() {
    let here = here(until_cancelled()).await;
    let client = here.client.clone();
    let run = tokio::spawn(async move { client.enqueue(job("a")).run_inline().await });
    quiet().await;
    here.world.shut_down(here.handle).await;
    let inline = run.await.unwrap().unwrap();
    let Inline::Later { id, .. } = inline else {
        panic!("{inline:?}");
    };
    let task = here.world.detail(id).await.task;
    assert_eq!((task.state, task.attempt), (State::Pending, 0), "handed back");
}

#[tokio::test]
async fn an_inline_run_whose_task_is_taken_away_says_so() {
    let here = here(until_cancelled()).await;
    let client = here.client.clone();
    let run = tokio::spawn(async move { client.enqueue(job("a")).run_inline().await });
    quiet().await;
    drop(here.handle);
    assert!(matches!(run.await.unwrap().unwrap(), Inline::Lost { .. }));
}

#[tokio::test]
async fn a_try_that_succeeds_stores_nothing() {
    let here = here(script(|ctx| async move {
        assert_eq!((ctx.attempt(), ctx.version()), (1, 1));
        ctx.save_checkpoint(&5).await?;
        assert_eq!(ctx.checkpoint::<u32>()?, Some(5));
        Ok(Outcome::output(&"done")?)
    }))
    .await;
    let run = here.client.enqueue(job("a")).try_first();
    let inline = here.world.finish("the try", run).await.unwrap();
    assert_eq!(inline.output::<String>().unwrap().as_deref(), Some("done"));
    assert!(nothing_stored(&here.world).await);
    here.world.pass(SECOND * 30).await;
    assert!(nothing_stored(&here.world).await && here.handle.running() == 0);
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn what_follows_a_tried_success_is_enqueued() {
    let here = here(script(|ctx| async move {
        ctx.enqueue_on_success(job("b"));
        Ok(Outcome::Done)
    }))
    .await;
    let run = here.client.enqueue(job("a")).try_first();
    assert_eq!(
        here.world.finish("the try", run).await.unwrap(),
        Inline::Succeeded(None)
    );
    let stored = here.world.list(TaskFilter::default()).await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].kind.as_str(), "b");
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn a_try_that_fails_is_stored_as_an_attempt_that_failed() {
    let here = here(script(|ctx| async move {
        if ctx.attempt() == 1 {
            ctx.save_checkpoint(&5).await?;
            return Err("once".into());
        }
        assert_eq!(ctx.checkpoint::<u32>()?, Some(5), "progress is kept");
        assert!(ctx.version() > 1);
        Ok(Outcome::Done)
    }))
    .await;
    let run = here.client.enqueue(job("a")).try_first();
    let inline = here.world.finish("the try", run).await.unwrap();
    let Inline::Retrying { id, error, .. } = inline else {
        panic!("{inline:?}");
    };
    assert_eq!(error.as_str(), "once");
    let stored = here.world.detail(id).await;
    assert_eq!(
        (stored.task.state, stored.task.attempt, stored.failures.len()),
        (State::Pending, 1, 1)
    );
    let ended = here.world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 2));
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn a_timeout_of_a_try_and_its_last_attempt_are_recorded() {
    let here = here_with(stuck(), KindOptions::new().timeout(SECOND)).await;
    let run = here.client.enqueue(job("a").retry(each_second(1))).try_first();
    let inline = here.world.finish("the try", run).await.unwrap();
    let Inline::Failed { id, error } = inline else {
        panic!("{inline:?}");
    };
    assert!(error.as_str().contains("within"), "{error}");
    assert_eq!(here.world.state(id).await, State::Failed);
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn a_dropped_try_is_stored() {
    let here = here(script(|ctx| async move {
        if ctx.attempt() == 1 {
            std::future::pending::<()>().await;
        }
        Ok(Outcome::Done)
    }))
    .await;
    let mut run = Box::pin(here.client.enqueue(job("a")).try_first());
    assert!((&mut run).now_or_never().is_none());
    assert!(nothing_stored(&here.world).await);
    drop(run);
    quiet().await;
    let stored = here.world.list(TaskFilter::default()).await;
    let ended = here.world.until_final(stored[0].id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 2));
    assert!(ended.failures[0].error.as_str().contains("went away"));
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn a_try_whose_lease_ends_meanwhile_is_stored_as_new() {
    let here = here(script(|ctx| async move {
        if ctx.version() == 1 && ctx.headers().get("slow").is_some() && !ctx.is_cancelled() {
            tokio::task::yield_now().await;
        }
        Err("no".into())
    }))
    .await;
    let session = crate::store::TaskStore::sessions(&here.world.memory)
        .await
        .unwrap()[0]
        .info
        .id;
    crate::store::TaskStore::close_session(&here.world.memory, session)
        .await
        .unwrap();
    let run = here.client.enqueue(job("a")).try_first();
    let inline = here.world.finish("the try", run).await.unwrap();
    let Inline::Enqueued(enqueued) = inline else {
        panic!("{inline:?}");
    };
    let stored = here.world.detail(enqueued.id).await;
    assert_eq!(
        (stored.task.attempt, stored.failures.len()),
        (0, 0),
        "not counted"
    );
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn a_try_that_cannot_be_stored_says_so() {
    let here = here(fails_once()).await;
    let store = here.world.store();
    store.always(Op::Insert, Some(Fault::Rejected(StoreErrorKind::Full)));
    let faulty = Client::builder(store)
        .clock(Arc::new(here.world.clock.clone()))
        .build()
        .attach(&here.handle);
    let run = faulty.enqueue(job("a")).try_first();
    let error = here.world.finish("the try", run).await.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
    quiet().await;
    assert_eq!(here.handle.running(), 0, "its permit is free");
    here.world.shut_down(here.handle).await;
}

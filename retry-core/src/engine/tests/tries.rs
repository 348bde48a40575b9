//! What an attempt in the caller's future has in common with every other: its context, its time, its end.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::contexts::{Echo, headers_of};
use super::faulty::{Fault, Op};
use super::harness::{SECOND, WithKind as _, World, done, job, quiet, script};
use super::privacy::Log;
use crate::client::{Client, Error, Inline};
use crate::clock::ManualClock;
use crate::draft::Draft;
use crate::engine::WorkerHandle;
use crate::executor::{Ctx, Executor, Outcome};
use crate::payload::Payload;
use crate::store::{Certainty, MemoryStore, StoreErrorKind, TaskFilter};
use crate::task::State;

async fn started(world: &World, executor: Arc<dyn Executor>) -> (WorkerHandle, Client<MemoryStore>) {
    let worker = world.worker().concurrency(1).kind("a", executor);
    let handle = worker.build().unwrap().start();
    handle.ready().await;
    let client = world.client.attach(&handle);
    (handle, client)
}

/// Succeeds with what it enqueues.
fn followed_by(draft: impl Fn() -> Draft + Send + Sync + 'static) -> Arc<dyn Executor> {
    script(move |ctx| {
        ctx.enqueue_on_success(draft());
        async { Ok(Outcome::Done) }
    })
}

#[tokio::test]
async fn what_a_try_stores_is_stored_by_the_workers_time() {
    let world = World::new();
    let executor = script(|ctx| async move {
        ctx.enqueue_on_success(job("b"));
        match ctx.headers().get("fail") {
            Some(_) => Err("no".into()),
            None => Ok(Outcome::Done),
        }
    });
    let (handle, _) = started(&world, executor).await;
    let wrong = ManualClock::new();
    wrong.advance(SECOND * 100_000);
    let client = Client::builder(world.memory.clone())
        .clock(Arc::new(wrong))
        .build();
    let client = client.attach(&handle);
    for draft in [job("a"), job("a").header("fail", "yes"), job("nobodys")] {
        let tried = client.enqueue(draft).try_first();
        world.finish("the try", tried).await.unwrap();
    }
    let stored = world.list(TaskFilter::default()).await;
    assert_eq!(
        stored.len(),
        3,
        "a follow-up, a failure, one that cannot run here"
    );
    for task in stored {
        assert_eq!(task.created_at, world.now(), "{task:?}");
    }
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_dropped_run_is_cancelled_for_what_it_left_behind() {
    let world = World::new();
    let left: Arc<Mutex<Vec<Ctx>>> = Arc::default();
    let kept = Arc::clone(&left);
    let executor = script(move |ctx| {
        kept.lock().unwrap().push(ctx);
        std::future::pending()
    });
    let (handle, client) = started(&world, executor).await;
    let mut run = Box::pin(client.enqueue(job("a")).run_inline());
    assert!((&mut run).now_or_never().is_none());
    assert!(!left.lock().unwrap()[0].is_cancelled());
    drop(run);
    assert!(left.lock().unwrap()[0].is_cancelled());
    drop((handle, client));
    let (handle, client) = started(
        &world,
        script({
            let kept = Arc::clone(&left);
            move |ctx| {
                kept.lock().unwrap().insert(0, ctx);
                std::future::pending()
            }
        }),
    )
    .await;
    let mut run = Box::pin(client.enqueue(job("a")).try_first());
    assert!((&mut run).now_or_never().is_none());
    assert!(!left.lock().unwrap()[0].is_cancelled());
    drop(run);
    assert!(left.lock().unwrap()[0].is_cancelled());
    drop(handle);
}

#[tokio::test]
async fn a_dropped_try_began_when_it_began() {
    let world = World::new();
    let executor = script(|ctx| async move {
        if ctx.attempt() == 1 {
            std::future::pending::<()>().await;
        }
        Ok(Outcome::Done)
    });
    let (handle, client) = started(&world, executor).await;
    let began = world.now();
    let mut run = Box::pin(client.enqueue(job("a")).try_first());
    assert!((&mut run).now_or_never().is_none());
    world.pass(SECOND * 3).await;
    drop(run);
    quiet().await;
    let stored = world.list(TaskFilter::default()).await;
    let failure = &world.detail(stored[0].id).await.failures[0];
    assert_eq!(failure.started_at, began);
    assert_eq!(failure.ended_at, began.saturating_add(SECOND * 3));
    world.shut_down(handle).await;
}

#[test]
fn a_dropped_try_that_cannot_be_stored_is_logged() {
    let log = Log::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tracing::subscriber::with_default(log.clone(), || {
        runtime.block_on(async {
            let world = World::new();
            let (handle, _) = started(&world, script(|_| std::future::pending())).await;
            let store = world.store();
            store.always(Op::Insert, Some(Fault::Rejected(StoreErrorKind::Full)));
            let client = Client::builder(store)
                .clock(Arc::new(world.clock.clone()))
                .build();
            let client = client.attach(&handle);
            let mut run = Box::pin(client.enqueue(job("a")).try_first());
            assert!((&mut run).now_or_never().is_none());
            drop(run);
            quiet().await;
            world.shut_down(handle).await;
        });
    });
    let log = log.0.lock().unwrap();
    assert!(log.contains("a task whose try was dropped is lost"), "{log}");
}

#[tokio::test]
async fn a_try_joins_its_context_and_hands_down_its_headers() {
    let world = World::new();
    let echo = Echo::default();
    let worker = world
        .worker()
        .propagator(echo.clone())
        .inherit_headers(["tenant"]);
    let worker = worker.kind("a", followed_by(|| job("follow-up")));
    let handle = worker.build().unwrap().start();
    handle.ready().await;
    let client = world.client.attach(&handle);
    let draft = job("a").header("tenant", "7").header("own", "mine");
    let tried = client.enqueue(draft).try_first();
    world.finish("the try", tried).await.unwrap();
    assert_eq!(*echo.told.lock().unwrap(), [["own=mine", "tenant=7"]]);
    assert_eq!(headers_of(&world, "follow-up").await, ["tenant=7"]);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn an_invalid_follow_up_is_the_trys_failure_and_nothing_follows() {
    let world = World::new();
    let executor = script(|ctx| async move {
        ctx.enqueue_on_success(job("b"));
        ctx.enqueue_on_success(Draft::raw("no kind", Payload::null()));
        Ok(Outcome::Done)
    });
    let (handle, client) = started(&world, executor).await;
    let tried = client.enqueue(job("a")).try_first();
    let inline = world.finish("the try", tried).await.unwrap();
    let Inline::Failed { id, error } = inline else {
        panic!("{inline:?}");
    };
    assert!(error.as_str().contains("its outcome is invalid"), "{error}");
    let stored = world.list(TaskFilter::default()).await;
    assert_eq!(
        (stored.len(), stored[0].id),
        (1, id),
        "as an attempt of a worker ends"
    );
    assert_eq!((stored[0].state, stored[0].attempt), (State::Failed, 1));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_try_whose_store_panics_is_not_known_to_be_stored() {
    let world = World::new();
    let (handle, _) = started(&world, script(|_| async { Err("no".into()) })).await;
    let store = world.store();
    store.always(Op::Insert, Some(Fault::Panic));
    let client = Client::builder(store)
        .clock(Arc::new(world.clock.clone()))
        .build();
    let tried = client.attach(&handle);
    let tried = tried.enqueue(job("a")).try_first();
    let error = world.finish("the try", tried).await.unwrap_err();
    assert!(
        matches!(&error, Error::Store(error) if error.certainty() == Certainty::Unknown),
        "{error:?}"
    );
    assert_eq!(handle.running(), 0);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_birth_that_cannot_be_looked_up_is_lost() {
    let world = World::new();
    let blind = world.store();
    blind.always(Op::Get, Some(Fault::Rejected(StoreErrorKind::Unavailable)));
    let worker = world.worker_on(&blind).kind("a", done());
    let handle = worker.build().unwrap().start();
    handle.ready().await;
    let store = world.store();
    store.plan(Op::Insert, &Fault::Answerless, 1);
    let client = Client::builder(store)
        .clock(Arc::new(world.clock.clone()))
        .build();
    let client = client.attach(&handle);
    let run = client.enqueue(job("a")).run_inline();
    let inline = world.finish("the run", run).await.unwrap();
    let Inline::Lost { id } = inline else {
        panic!("{inline:?}");
    };
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    world.shut_down(handle).await;
}

/// The answer to its birth is lost, and a cancel is requested before the record is read.
#[tokio::test]
async fn a_try_that_splits_a_task_to_be_cancelled_leaves_no_child() {
    let world = World::new();
    let own = world.store();
    let executor = script(|_| async { Ok(Outcome::split([job("b"), job("b")])) });
    let handle = world.worker_on(&own).kind("a", executor).build().unwrap().start();
    handle.ready().await;
    let gate = CancellationToken::new();
    own.plan(Op::Get, &Fault::HoldCall(gate.clone()), 1);
    let store = world.store();
    store.plan(Op::Insert, &Fault::Answerless, 1);
    let client = Client::builder(store)
        .clock(Arc::new(world.clock.clone()))
        .build();
    let client = client.attach(&handle);
    let mut tried = Box::pin(client.enqueue(job("a")).try_first());
    world
        .until("its birth is looked up", async || {
            assert!((&mut tried).now_or_never().is_none());
            own.calls(Op::Get) == 1
        })
        .await;
    let [born] = world.list(TaskFilter::default()).await.try_into().unwrap();
    world.client.cancel(born.id).await.unwrap();
    gate.cancel();
    world.finish("the try", tried).await.unwrap();
    let ended = world.detail(born.id).await.task;
    assert_eq!((ended.state, ended.children.total), (State::Cancelled, 0));
    assert_eq!(world.list(TaskFilter::default()).await.len(), 1);
    world.shut_down(handle).await;
}

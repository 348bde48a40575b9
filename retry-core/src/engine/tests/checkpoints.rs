//! Progress stored while an attempt goes on.

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::faulty::{Fault, Op};
use super::harness::{Meter, SECOND, WithKind as _, World, each_second, job, quiet, script};
use crate::executor::{CheckpointError, Outcome};
use crate::machine::{Event, transition};
use crate::store::{TaskStore as _, TaskStoreExt as _};
use crate::task::{Edit, State};

#[tokio::test]
async fn it_raises_the_version_and_the_next_attempt_finds_it() {
    let world = World::new();
    let id = world.enqueue(job("a")).await;
    let executor = script(|ctx| async move {
        if ctx.attempt() == 1 {
            assert_eq!((ctx.version(), ctx.checkpoint::<u32>()?), (1, None));
            ctx.save_checkpoint(&10).await?;
            ctx.save_checkpoint(&20).await?;
            assert_eq!((ctx.version(), ctx.checkpoint::<u32>()?), (3, Some(20)));
            return Err("once".into());
        }
        assert_eq!((ctx.version(), ctx.checkpoint::<u32>()?), (5, Some(20)));
        Ok(Outcome::Done)
    });
    let handle = world.worker().kind("a", executor).build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 2));
    assert_eq!(ended.failures[0].error.as_str(), "once");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_dropped_call_does_not_cost_the_lease() {
    let (world, gate) = (World::new(), CancellationToken::new());
    let store = world.store();
    let id = world.enqueue(job("a")).await;
    let (faults, held) = (store.clone(), gate.clone());
    let executor = script(move |ctx| {
        let (faults, held) = (faults.clone(), held.clone());
        async move {
            faults.plan(Op::Exchange, &Fault::HoldAnswer(held), 1);
            assert!(ctx.save_checkpoint(&1).now_or_never().is_none());
            Ok(Outcome::Done)
        }
    });
    let handle = world
        .worker_on(&store)
        .kind("a", executor)
        .build()
        .unwrap()
        .start();
    quiet().await;
    assert_eq!(
        world.state(id).await,
        State::Running,
        "the outcome waits for the version"
    );
    gate.cancel();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 1));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn an_unknown_outcome_is_repeated() {
    for fault in [Fault::Answerless, Fault::Lost] {
        let world = World::new();
        let store = world.store();
        let id = world.enqueue(job("a")).await;
        let faults = store.clone();
        let executor = script(move |ctx| {
            let (faults, fault) = (faults.clone(), fault.clone());
            async move {
                faults.plan(Op::Exchange, &fault, 2);
                ctx.save_checkpoint(&1).await?;
                Ok(Outcome::Done)
            }
        });
        let handle = world
            .worker_on(&store)
            .kind("a", executor)
            .build()
            .unwrap()
            .start();
        let ended = world.until_final(id).await;
        assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 1));
        assert_eq!(ended.task.version, 3, "claim, checkpoint, success");
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_lost_task_is_an_error_and_a_cancellation() {
    let world = World::new();
    let id = world.enqueue(job("a").retry(each_second(5))).await;
    let memory = world.memory.clone();
    let runs = Meter::default();
    let count = runs.clone();
    let executor = script(move |ctx| {
        let (memory, count) = (memory.clone(), count.clone());
        async move {
            drop(count.enter());
            if count.total() > 1 {
                return Ok(Outcome::Done);
            }
            let task = memory.get(id).await?.unwrap().task;
            let event = Event::LeaseLost { process_dead: true };
            let edit = Edit {
                id,
                version: task.version,
                nonce: crate::id::Nonce::from_random(99),
                action: transition(&task, event, task.updated_at, 0)?,
                insert: Vec::new(),
            };
            memory.apply(edit, task.updated_at).await?;
            let error = ctx.save_checkpoint(&1).await.unwrap_err();
            assert!(matches!(error, CheckpointError::LeaseLost(_)), "{error:?}");
            assert!(ctx.is_cancelled());
            Err(error.into())
        }
    });
    let handle = world.worker().kind("a", executor).build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 2));
    assert_eq!(runs.total(), 2);
    world.pass(SECOND * 30).await;
    assert_eq!(world.detail(id).await.task.version, ended.task.version);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn too_large_a_checkpoint_is_refused_before_any_write() {
    let world = World::new();
    let id = world.enqueue(job("a")).await;
    let executor = script(|ctx| async move {
        let large = "x".repeat(crate::limits::MAX_PAYLOAD_BYTES);
        let error = ctx.save_checkpoint(&large).await.unwrap_err();
        assert!(matches!(error, CheckpointError::Invalid(_)));
        assert!(!ctx.is_cancelled() && ctx.version() == 1);
        Ok(Outcome::Done)
    });
    let handle = world.worker().kind("a", executor).build().unwrap().start();
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    world.shut_down(handle).await;
}

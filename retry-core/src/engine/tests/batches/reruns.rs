//! Another try: of failed shards, of a whole batch, of one whose split was cut short.

use std::sync::Arc;

use futures_util::TryStreamExt as _;

use super::super::faulty::{Fault, Op};
use super::super::harness::{SECOND, World, quiet};
use super::{Plan, Sum, answer, batch, counts, ended, shards, sum};
use crate::batch::{Batch, Reduced};
use crate::client::{BatchStage, Client, Error, RerunChildren};
use crate::executor::{Ctx, HandlerError, Outcome};
use crate::id::{Shard, TaskId, TaskIds};
use crate::machine::Rejected;
use crate::store::Cause;
use crate::task::{FailedChildren, OnWaitDeadline, State as TaskState};

fn rerun(done: &RerunChildren) -> (u64, u64) {
    (done.rerun, done.refused)
}

#[tokio::test]
async fn failed_shards_are_rerun_whatever_their_batch_became() {
    for (policy, reduces) in [
        (FailedChildren::Hold, 1),
        (FailedChildren::Fail, 1),
        (FailedChildren::Reduce, 2),
    ] {
        let (world, plan) = (World::new(), Plan::default());
        *plan.0.bad.lock().unwrap() = vec![0, 2, 3];
        let id = world.enqueue(sum(5, 2).on_failed_children(policy)).await;
        let handle = batch(world.worker(), &plan).build().unwrap().start();
        world
            .until("it has come as far as it can", async || {
                let stage = world.client.batch(id).await.unwrap().unwrap().stage;
                matches!(stage, BatchStage::Held | BatchStage::Ended)
            })
            .await;
        let done = world.client.rerun_failed_children(id).await.unwrap();
        assert_eq!(rerun(&done), (3, 0), "{policy:?}");
        assert_eq!(ended(&world, id).await, answer(5, &[]), "{policy:?}");
        assert_eq!(plan.reduces(), reduces, "{policy:?}");
        assert_eq!(plan.executed(), [0, 1, 2, 3, 4]);
        let none = world.client.rerun_failed_children(id).await.unwrap();
        assert_eq!(rerun(&none), (0, 0));
        assert_eq!(world.state(id).await, TaskState::Succeeded, "nothing changed");
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn more_than_a_page_is_rerun_and_reduced_once() {
    let (world, plan) = (World::new(), Plan::default());
    let below = 2_345;
    *plan.0.bad.lock().unwrap() = (0..below).filter(|n| n % 2 == 0).collect();
    let draft = sum(below, 0).on_failed_children(FailedChildren::Fail);
    let id = world.enqueue(draft).await;
    let worker = batch(world.worker(), &plan).concurrency(500);
    let handle = worker.build().unwrap().start();
    world.until_final(id).await;
    let client = world.client.clone();
    let call = tokio::spawn(async move { client.rerun_failed_children(id).await });
    let done = world.finish("the rerun", call).await.unwrap().unwrap();
    assert_eq!(rerun(&done), (1_173, 0));
    assert_eq!(ended(&world, id).await, answer(below, &[]));
    assert_eq!(plan.reduces(), 1);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn what_cannot_be_rerun_is_refused_and_stays() {
    let (world, plan) = (World::new(), Plan::default());
    let unknown = TaskIds::new().next(world.now(), Shard::default(), 1);
    assert!(matches!(
        world.client.rerun_failed_children(unknown).await,
        Err(Error::NotFound(_))
    ));
    let id = world.enqueue(sum(2, 1)).await;
    let refused = |error| matches!(error, Err(Error::Rejected(Rejected::State(TaskState::Pending))));
    assert!(refused(world.client.rerun_failed_children(id).await));
    world.client.cancel(id).await.unwrap();
    let never_split = world.client.rerun_failed_children(id).await;
    assert!(matches!(never_split, Err(Error::Rejected(Rejected::NoChildren))));
    let worker = world.worker().state(plan.clone());
    let others = Batch::of_others(super::split, super::reduce);
    let id = world.enqueue(sum(2, 1)).await;
    let handle = worker.batch(others).build().unwrap().start();
    world.until_state(id, TaskState::Joining).await;
    assert_eq!(
        rerun(&world.client.rerun_failed_children(id).await.unwrap()),
        (0, 0)
    );
    world.client.cancel(id).await.unwrap();
    let flagged = world.client.rerun_failed_children(id).await;
    assert!(matches!(
        flagged,
        Err(Error::Rejected(Rejected::AlreadyRequested))
    ));
    assert_eq!(world.until_final(id).await.task.state, TaskState::Cancelled);
    let done = world.client.rerun_failed_children(id).await.unwrap();
    assert_eq!(rerun(&done), (2, 0), "a cancel is undone");
    assert_eq!(world.detail(id).await.task.children, counts(2, 2, 0));
    assert!(!world.detail(id).await.task.cancel_requested);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_batch_rerun_from_its_start_reduces_its_own_shards() {
    let (world, plan) = (World::new(), Plan::default());
    *plan.0.bad.lock().unwrap() = vec![1];
    let id = world.enqueue(sum(5, 2)).await;
    let handle = batch(world.worker(), &plan).build().unwrap().start();
    assert_eq!(ended(&world, id).await, answer(5, &[1]));
    plan.0.bad.lock().unwrap().clear();
    world.client.rerun_from_start(id).await.unwrap();
    assert_eq!(ended(&world, id).await, answer(5, &[]));
    assert_eq!(world.detail(id).await.task.children, counts(10, 0, 1));
    let progress = world.client.batch(id).await.unwrap().unwrap();
    assert_eq!(progress.shards, counts(5, 0, 0));
    let done = world.client.rerun_failed_children(id).await.unwrap();
    assert_eq!(rerun(&done), (0, 0), "the failed one is of an earlier life");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn shards_of_an_earlier_life_do_not_hold_a_batch_that_was_rerun_from_its_start() {
    let (world, plan) = (World::new(), Plan::default());
    *plan.0.bad.lock().unwrap() = vec![1, 3];
    let draft = sum(5, 2).on_failed_children(FailedChildren::Hold);
    let id = world.enqueue(draft).await;
    let handle = batch(world.worker(), &plan).build().unwrap().start();
    let held = async || {
        let stage = async || world.client.batch(id).await.unwrap().unwrap().stage;
        world
            .until("it is held", async || stage().await == BatchStage::Held)
            .await;
    };
    held().await;
    world.client.release(id).await.unwrap();
    assert_eq!(ended(&world, id).await, answer(5, &[1, 3]));
    *plan.0.bad.lock().unwrap() = vec![0];
    world.client.rerun_from_start(id).await.unwrap();
    held().await;
    let progress = world.client.batch(id).await.unwrap().unwrap();
    assert_eq!(progress.shards, counts(5, 0, 1));
    let done = world.client.rerun_failed_children(id).await.unwrap();
    assert_eq!(rerun(&done), (1, 0));
    assert_eq!(
        ended(&world, id).await,
        answer(5, &[]),
        "two of the first life are still failed"
    );
    world.shut_down(handle).await;
}

#[tokio::test]
async fn what_can_be_reached_is_rerun_and_the_rest_is_named() {
    let (world, plan) = (World::new(), Plan::default());
    *plan.0.bad.lock().unwrap() = vec![0, 2];
    let id = world.enqueue(sum(5, 2)).await;
    let handle = batch(world.worker(), &plan).build().unwrap().start();
    assert_eq!(ended(&world, id).await, answer(5, &[0, 2]));
    let store = world.store();
    store.lack(&[3, 1]);
    let client = Client::builder(store)
        .clock(Arc::new(world.clock.clone()))
        .build();
    let done = client.rerun_failed_children(id).await.unwrap();
    assert_eq!((rerun(&done), done.missing_parts), ((2, 0), vec![1, 3]));
    assert_eq!(ended(&world, id).await, answer(5, &[]));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn shards_of_an_earlier_life_do_not_fail_a_batch_that_was_rerun_from_its_start() {
    let (world, plan) = (World::new(), Plan::default());
    *plan.0.bad.lock().unwrap() = vec![1, 3];
    let draft = sum(5, 2).on_failed_children(FailedChildren::Fail);
    let id = world.enqueue(draft).await;
    let handle = batch(world.worker(), &plan).build().unwrap().start();
    let failed = async |why: &str| {
        let ended = world.until_final(id).await;
        assert_eq!(ended.task.state, TaskState::Failed);
        assert_eq!(ended.last_error.unwrap().as_str(), why);
    };
    failed("2 of 5 children failed").await;
    *plan.0.bad.lock().unwrap() = vec![0];
    world.client.rerun_from_start(id).await.unwrap();
    failed("1 of 5 children failed").await;
    plan.0.bad.lock().unwrap().clear();
    world.client.rerun_from_start(id).await.unwrap();
    assert_eq!(ended(&world, id).await, answer(5, &[]));
    assert_eq!(world.detail(id).await.task.children, counts(15, 0, 3));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_batch_that_failed_in_its_split_goes_on_behind_it() {
    let (world, plan) = (World::new(), Plan::default());
    *plan.0.fails_at.lock().unwrap() = Some((3, 3));
    let draft = sum(6, 2).on_failed_children(FailedChildren::Hold);
    let id = world.enqueue(draft).await;
    let worker = world.worker().state(plan.clone());
    let others = Batch::of_others(super::split, super::reduce);
    let splitter = worker.batch(others).build().unwrap().start();
    assert_eq!(world.until_final(id).await.task.state, TaskState::Failed);
    world
        .until("what it stored is cancelled", async || {
            world.detail(id).await.task.children == counts(2, 0, 2)
        })
        .await;
    world.client.rerun(id).await.unwrap();
    world.until_state(id, TaskState::Joining).await;
    world.shut_down(splitter).await;
    let all = shards(&world, id).await;
    assert_eq!(all.len(), 6);
    let handle = batch(world.worker(), &plan).build().unwrap().start();
    world
        .until("the others have ended", async || {
            world.detail(id).await.task.children == counts(6, 0, 2)
        })
        .await;
    quiet().await;
    let done = world.client.rerun_failed_children(id).await.unwrap();
    assert_eq!(rerun(&done), (2, 0));
    assert_eq!(ended(&world, id).await, answer(6, &[]));
    assert!(world.elapsed() < SECOND * 30, "{:?}", world.elapsed());
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_shard_rerun_before_the_rescuer_comes_is_not_cancelled() {
    let (world, plan) = (World::new(), Plan::default());
    *plan.0.bad.lock().unwrap() = vec![0, 1];
    let store = world.store();
    // Nobody ends the parent whose alarm rings.
    store.always(Op::Expired, Some(Fault::Lost));
    let draft = sum(3, 0).on_failed_children(FailedChildren::Fail);
    let id = world.enqueue(draft).await;
    let worker = batch(world.worker_on(&store), &plan).build().unwrap().start();
    world
        .until("the alarm rings", async || {
            let task = world.detail(id).await.task;
            task.state == TaskState::Joining && task.alarm_at.is_some()
        })
        .await;
    world.shut_down(worker).await;
    let done = world.client.rerun_failed_children(id).await.unwrap();
    assert_eq!(rerun(&done), (2, 0));
    let others = Batch::of_others(super::split, super::reduce);
    let rescuer = world.worker().state(plan.clone()).batch(others);
    let rescuer = rescuer.build().unwrap().start();
    world
        .until("the alarm is silent", async || {
            world.detail(id).await.task.alarm_at.is_none()
        })
        .await;
    quiet().await;
    assert_eq!(world.detail(id).await.task.children, counts(3, 2, 0));
    let progress = world.client.batch(id).await.unwrap().unwrap();
    assert_eq!(progress.stage, BatchStage::Executing);
    world.shut_down(rescuer).await;
    let handle = batch(world.worker(), &plan).build().unwrap().start();
    assert_eq!(ended(&world, id).await, answer(3, &[]));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_rescuer_with_an_old_record_of_a_parent_leaves_its_rerun_shards_alone() {
    let (world, plan) = (World::new(), Plan::default());
    let store = world.store();
    let id = world.enqueue(sum(3, 0)).await;
    let others = || {
        let worker = world.worker_on(&store).state(plan.clone());
        worker.batch(Batch::of_others(super::split, super::reduce))
    };
    let splitter = others().build().unwrap().start();
    world.until_state(id, TaskState::Joining).await;
    world.shut_down(splitter).await;
    world.client.cancel(id).await.unwrap();
    let flagged = world.detail(id).await.task;
    assert!(flagged.cancel_requested && flagged.children.open == 3);
    let rescuer = others().build().unwrap().start();
    assert_eq!(world.until_final(id).await.task.state, TaskState::Cancelled);
    let done = world.client.rerun_failed_children(id).await.unwrap();
    assert_eq!(rerun(&done), (3, 0));
    store.give_outdated(flagged, Cause::Alarm);
    let rounds = store.calls(Op::Expired);
    world
        .until("it has looked", async || store.calls(Op::Expired) > rounds + 2)
        .await;
    assert_eq!(world.detail(id).await.task.children, counts(3, 3, 0));
    world.shut_down(rescuer).await;
}

/// A reduce that stores how far it is, waits, and answers in its next step.
async fn in_two_steps(sum: Sum, ctx: Ctx, shards: Reduced) -> Result<Outcome, HandlerError> {
    if ctx.step() == 1 {
        let (mut added, mut last) = ctx.checkpoint::<(u32, Option<TaskId>)>()?.unwrap_or_default();
        let mut outputs = std::pin::pin!(shards.outputs_behind::<u32>(last));
        while let Some((id, number)) = outputs.try_next().await? {
            (added, last) = (added + number, Some(id));
        }
        ctx.save_checkpoint(&(added, last)).await?;
        return Ok(Outcome::Wait(SECOND * sum.below));
    }
    let (added, _) = ctx.checkpoint::<(u32, Option<TaskId>)>()?.unwrap_or_default();
    Ok(Outcome::output(&added)?)
}

#[tokio::test]
async fn a_reduce_begins_anew_behind_a_rerun() {
    let (world, plan) = (World::new(), Plan::default());
    *plan.0.bad.lock().unwrap() = vec![0, 1, 2, 3];
    let draft = sum(5, 2).on_wait_deadline(OnWaitDeadline::Resume);
    let id = world.enqueue(draft).await;
    let worker = world.worker().state(plan.clone());
    let worker = worker.batch(Batch::new(super::split, super::execute, in_two_steps));
    let handle = worker.build().unwrap().start();
    let output = async || {
        let ended = world.until_final(id).await;
        assert_eq!(ended.task.step, 2);
        ended.output.unwrap().decode::<u32>().unwrap()
    };
    assert_eq!(output().await, 5, "the last alone");
    let done = world.client.rerun_failed_children(id).await.unwrap();
    assert_eq!(rerun(&done), (4, 0));
    assert_eq!(output().await, 15);
    let progress = world.client.batch(id).await.unwrap().unwrap();
    assert_eq!(progress.shards, counts(5, 0, 0), "its place is kept");
    assert!(progress.since.is_some());
    world.shut_down(handle).await;
}

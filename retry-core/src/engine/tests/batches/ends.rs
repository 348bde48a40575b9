//! How batches end: by their reduce, by a split that fails, by a cancel.

use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::super::harness::{SECOND, WithKind as _, World, done, job, script};
use super::{Number, Plan, Sum, answer, batch, counts, ended, never, shards, sum};
use crate::batch::{Batch, ReduceError, Reduced, Shards};
use crate::client::BatchStage;
use crate::executor::{Ctx, HandlerError, Outcome, State};
use crate::task::{FailedChildren, State as TaskState};

#[tokio::test]
async fn a_reduce_is_retried_like_any_step() {
    let (world, plan) = (World::new(), Plan::default());
    plan.0.reduce_fails.store(2, Ordering::SeqCst);
    *plan.0.bad.lock().unwrap() = vec![1, 4];
    let id = world.enqueue(sum(5, 2)).await;
    let handle = batch(world.worker(), &plan).build().unwrap().start();
    assert_eq!(ended(&world, id).await, answer(5, &[1, 4]));
    assert_eq!((plan.splits(), plan.reduces()), (1, 3));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_split_that_fails_for_good_cancels_what_it_stored() {
    async fn failing(sum: Sum, State(plan): State<Plan>) -> Result<Shards<Number>, HandlerError> {
        let shards = super::split(sum, State(plan)).await;
        shards.map(|_| {
            let numbers = futures_util::stream::iter(0..3).map(|n| match n {
                2 => Err(never()),
                n => Ok(Number(n)),
            });
            Shards::stream(numbers).chunk(1)
        })
    }
    let (world, plan) = (World::new(), Plan::default());
    let id = world.enqueue(sum(3, 1)).await;
    let worker = world.worker().state(plan.clone());
    // The shards' handler is elsewhere, so they stay open.
    let batch = Batch::of_others(failing, super::reduce);
    let handle = worker.batch(batch).build().unwrap().start();
    assert_eq!(world.until_final(id).await.task.state, TaskState::Failed);
    world
        .until("the shards are cancelled", async || {
            let task = world.detail(id).await.task;
            task.children == counts(1, 0, 1) && task.alarm_at.is_none()
        })
        .await;
    assert!(
        shards(&world, id)
            .await
            .iter()
            .all(|shard| shard.state == TaskState::Cancelled)
    );
    world.shut_down(handle).await;
}

/// The first call stores two shards and fails; when they have ended, the second one finds that there is no more.
async fn without_a_last_chunk(
    mut sum: Sum,
    State(plan): State<Plan>,
) -> Result<Shards<Number>, HandlerError> {
    if plan.splits() > 0 {
        sum.below = 2;
    }
    super::split(sum, State(plan)).await
}

#[tokio::test]
async fn a_split_that_ends_behind_its_last_shard_goes_by_the_policy() {
    use FailedChildren::{Fail, Hold, Reduce};
    for (bad, policy, stage, state) in [
        (vec![], Fail, BatchStage::Ended, TaskState::Succeeded),
        (vec![], Hold, BatchStage::Ended, TaskState::Succeeded),
        (vec![1], Reduce, BatchStage::Ended, TaskState::Succeeded),
        (vec![1], Fail, BatchStage::Ended, TaskState::Failed),
        (vec![1], Hold, BatchStage::Held, TaskState::Joining),
    ] {
        let (world, plan) = (World::new(), Plan::default());
        *plan.0.fails_at.lock().unwrap() = Some((3, 1));
        (*plan.0.bad.lock().unwrap()).clone_from(&bad);
        let id = world.enqueue(sum(4, 2).on_failed_children(policy)).await;
        let worker = world.worker().state(plan.clone());
        let worker = worker.batch(Batch::new(without_a_last_chunk, super::execute, super::reduce));
        let handle = worker.build().unwrap().start();
        let why = format!("{bad:?} of 2 failed, {policy:?}");
        world
            .until(&why, async || {
                let now = world.client.batch(id).await.unwrap().unwrap().stage;
                matches!(now, BatchStage::Held | BatchStage::Ended)
            })
            .await;
        let now = world.client.batch(id).await.unwrap().unwrap();
        assert_eq!((now.stage, now.state), (stage, state), "{why}");
        let reduced = u32::from(state == TaskState::Succeeded);
        assert_eq!((plan.splits(), plan.reduces()), (2, reduced), "{why}");
        assert!(world.elapsed() < SECOND * 6, "{why}: {:?}", world.elapsed());
        let done = world.client.rerun_failed_children(id).await.unwrap();
        assert_eq!(done.rerun, bad.len() as u64, "{why}");
        assert_eq!(ended(&world, id).await, answer(2, &[]), "{why}");
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_cancel_in_mid_split_cancels_all_shards() {
    let (world, plan, gate) = (World::new(), Plan::default(), CancellationToken::new());
    *plan.0.gate.lock().unwrap() = Some((5, gate.clone()));
    let id = world.enqueue(sum(6, 2)).await;
    let worker = world.worker().state(plan.clone());
    let batch = Batch::of_others(super::split, super::reduce);
    let handle = worker.batch(batch).build().unwrap().start();
    world
        .until("two chunks are stored", async || {
            world.detail(id).await.task.children.total == 4
        })
        .await;
    let why = world.client.why(id).await.unwrap().to_string();
    assert!(
        why.contains("it is splitting: 4 children so far, 4 of them open"),
        "{why}"
    );
    world.client.cancel(id).await.unwrap();
    assert_eq!(world.until_final(id).await.task.state, TaskState::Cancelled);
    world
        .until("the shards are cancelled", async || {
            world.detail(id).await.task.children == counts(4, 0, 4)
        })
        .await;
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_cancel_cancels_the_shards_of_a_batch_that_waits() {
    let (world, plan) = (World::new(), Plan::default());
    let id = world.enqueue(sum(5, 2)).await;
    let worker = world.worker().state(plan.clone());
    let batch = Batch::of_others(super::split, super::reduce);
    let handle = worker.batch(batch).build().unwrap().start();
    world.until_state(id, TaskState::Joining).await;
    let progress = world.client.batch(id).await.unwrap().unwrap();
    assert_eq!(
        (progress.stage, progress.total()),
        (BatchStage::Executing, Some(5))
    );
    assert_eq!((progress.rate(), progress.remaining()), (None, None));
    world.client.cancel(id).await.unwrap();
    let ended = world.until_final(id).await.task;
    assert_eq!(
        (ended.state, ended.children),
        (TaskState::Cancelled, counts(5, 0, 5))
    );
    assert_eq!(plan.reduces(), 0);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_later_step_that_splits_is_told_as_such() {
    let (world, gate) = (World::new(), CancellationToken::new());
    let id = world.enqueue(job("parent")).await;
    let held = gate.clone();
    let parent = script(move |ctx: Ctx| {
        let gate = held.clone();
        async move {
            let give = move |n| {
                let gate = gate.clone();
                async move {
                    if n == 3 {
                        gate.cancelled().await;
                    }
                    Ok::<_, HandlerError>(Number(n))
                }
            };
            let numbers = futures_util::stream::iter(0..4).then(give);
            match ctx.step() {
                0 => Ok(Outcome::Split(Vec::new())),
                1 => ctx.split(Shards::stream(numbers).chunk(1)).await,
                _ => Ok(Outcome::Done),
            }
        }
    });
    let worker = world.worker().kind("parent", parent).kind("number", done());
    let handle = worker.build().unwrap().start();
    world
        .until("two chunks are stored", async || {
            world.detail(id).await.task.children.total == 2
        })
        .await;
    let progress = world.client.batch(id).await.unwrap().unwrap();
    assert_eq!((progress.stage, progress.total()), (BatchStage::Splitting, None));
    gate.cancel();
    assert_eq!(world.until_final(id).await.task.children, counts(4, 0, 0));
    let progress = world.client.batch(id).await.unwrap().unwrap();
    assert_eq!((progress.stage, progress.total()), (BatchStage::Ended, Some(4)));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn progress_tells_rate_and_rest() {
    let (world, plan) = (World::new(), Plan::default());
    let id = world
        .enqueue(sum(4, 2).on_failed_children(FailedChildren::Hold))
        .await;
    *plan.0.bad.lock().unwrap() = vec![3];
    let worker = world.worker().state(plan.clone());
    let others = Batch::of_others(super::split, super::reduce);
    let splitter = worker.batch(others).build().unwrap().start();
    world.until_state(id, TaskState::Joining).await;
    let early = world.client.batch(id).await.unwrap().unwrap();
    world.pass(SECOND * 4).await;
    let all = shards(&world, id).await;
    for shard in &all[..2] {
        world.client.cancel(shard.id).await.unwrap();
    }
    let later = world.client.batch(id).await.unwrap().unwrap();
    assert_eq!((later.ended(), later.succeeded(), later.shards.failed), (2, 0, 2));
    let (rate, since) = (later.rate().unwrap(), later.rate_since(&early).unwrap());
    assert!(
        (0.4..=0.51).contains(&rate) && (0.4..=0.51).contains(&since),
        "{rate} {since}"
    );
    let rest = later.remaining().unwrap();
    assert!((SECOND * 3..=SECOND * 5).contains(&rest), "{rest:?}");
    for shard in &all[2..] {
        world.client.cancel(shard.id).await.unwrap();
    }
    world
        .until("a rescuer goes by the policy", async || {
            world.detail(id).await.task.alarm_at.is_none()
        })
        .await;
    let held = world.client.batch(id).await.unwrap().unwrap();
    assert_eq!((held.stage, held.rate()), (BatchStage::Held, None));
    let why = world.client.why(id).await.unwrap().to_string();
    assert!(why.contains("held until they are rerun"), "{why}");
    assert!(
        world
            .client
            .batch(all[0].parent.unwrap())
            .await
            .unwrap()
            .is_some()
    );
    world.shut_down(splitter).await;
}

#[tokio::test]
async fn an_output_of_another_type_fails_the_reduce_by_name() {
    async fn wrong(_: Sum, shards: Reduced) -> Result<Outcome, ReduceError> {
        use futures_util::TryStreamExt as _;
        let outputs: Vec<String> = shards.outputs().try_collect().await?;
        Ok(Outcome::Stop(outputs.concat()))
    }
    let (world, plan) = (World::new(), Plan::default());
    let id = world.enqueue(sum(1, 1)).await;
    let worker = world.worker().state(plan.clone());
    let worker = worker.batch(Batch::new(super::split, super::execute, wrong));
    let handle = worker.build().unwrap().start();
    let ended = world.until_final(id).await;
    let error = ended.last_error.unwrap();
    assert!(error.as_str().contains("is not of the type asked for"), "{error}");
    world.shut_down(handle).await;
}

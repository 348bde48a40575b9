//! Batches as kinds: their queues and options, batches of batches, dry runs, trials.

use serde::{Deserialize, Serialize};

use super::super::harness::{SECOND, World, each_second};
use super::{Answer, Number, Plan, Sum, answer, batch, counts, ended, shards, sum};
use crate::batch::{Batch, ReduceError, Reduced, Shard, Shards};
use crate::draft::{Draft, TaskOptions, TaskPayload};
use crate::engine::BuildError;
use crate::executor::{HandlerError, Outcome, State};
use crate::name::Queue;
use crate::priority::Priority;
use crate::store::TaskFilter;
use crate::task::State as TaskState;

#[tokio::test]
async fn shards_are_in_their_parents_queue_unless_they_name_another() {
    async fn mixed(_: Sum) -> Result<Shards<Number>, HandlerError> {
        let plain = Shard::new(Number(1));
        let own = Shard::new(Number(2))
            .queue("other")
            .priority(Priority::High)
            .delay(SECOND);
        Ok(Shards::new([plain, own]))
    }
    let (world, plan) = (World::new(), Plan::default());
    let id = world.enqueue(sum(0, 0).queue("nightly")).await;
    let worker = world.worker().state(plan.clone()).queue("nightly").queue("other");
    let worker = worker.batch(Batch::new(mixed, super::execute, super::reduce));
    let handle = worker.build().unwrap().start();
    let answer = ended(&world, id).await;
    assert_eq!(answer.counts, counts(2, 0, 0));
    let shards = shards(&world, id).await;
    let own = shards
        .iter()
        .find(|shard| shard.priority == Priority::High)
        .unwrap();
    let plain = shards.iter().find(|shard| shard.id != own.id).unwrap();
    assert_eq!((plain.queue.as_str(), own.queue.as_str()), ("nightly", "other"));
    assert!(own.run_at > plain.run_at);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_worker_of_a_batch_claims_from_its_queue_alone() {
    #[derive(Serialize, Deserialize)]
    struct Nightly;
    impl TaskPayload for Nightly {
        const KIND: &'static str = "nightly";
        fn options() -> TaskOptions {
            TaskOptions::new().queue("nights")
        }
    }
    async fn split(_: Nightly) -> Result<Shards<Number>, HandlerError> {
        Ok(Shards::new([Number(1)]))
    }
    async fn reduce(_: Nightly) -> Result<(), HandlerError> {
        Ok(())
    }
    let (world, plan) = (World::new(), Plan::default());
    let id = world.enqueue(Draft::of(&Nightly)).await;
    let worker = world.worker().state(plan.clone());
    let worker = worker.batch(Batch::new(split, super::execute, reduce));
    let handle = worker.build().unwrap().start();
    assert_eq!(world.until_final(id).await.task.state, TaskState::Succeeded);
    let sessions = world.client.sessions().await.unwrap();
    assert_eq!(sessions[0].info.queues, [Queue::new("nights").unwrap()]);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_batch_needs_what_its_functions_need() {
    let world = World::new();
    let worker = || {
        world
            .worker()
            .batch(Batch::new(super::split, super::execute, super::reduce))
    };
    assert!(matches!(
        worker().build().unwrap_err(),
        BuildError::MissingState { .. }
    ));
    let twice = worker().batch(Batch::of_others(super::split, super::reduce));
    assert!(matches!(twice.build().unwrap_err(), BuildError::DuplicateKind(_)));
}

/// Sums of sums.
#[derive(Debug, Serialize, Deserialize)]
struct Total {
    sums: u32,
}

impl TaskPayload for Total {
    const KIND: &'static str = "total";

    fn options() -> TaskOptions {
        TaskOptions::new().retry(each_second(3))
    }
}

async fn into_sums(total: Total) -> Result<Shards<Sum>, HandlerError> {
    let sum = |below| Sum { below, chunk: 2 };
    Ok(Shards::new((0..total.sums).map(sum)).chunk(3))
}

async fn total(_: Total, sums: Reduced) -> Result<Outcome, HandlerError> {
    use futures_util::TryStreamExt as _;
    let add = async |total: u32, sum: Answer| Ok::<_, ReduceError>(total + sum.sum);
    let total = sums.outputs::<Answer>().try_fold(0, add).await?;
    Ok(Outcome::output(&total)?)
}

#[tokio::test]
async fn the_shards_of_a_batch_may_be_batches() {
    let (world, plan) = (World::new(), Plan::default());
    let id = world.enqueue(Draft::of(&Total { sums: 5 })).await;
    let worker = batch(world.worker(), &plan).batch(Batch::of_others(into_sums, total));
    let handle = worker.build().unwrap().start();
    let ended = world.until_final(id).await;
    let wanted: u32 = (0..5).map(|below| answer(below, &[]).sum).sum();
    assert_eq!(ended.output.unwrap().decode::<u32>().unwrap(), wanted);
    assert_eq!((plan.splits(), plan.reduces()), (5, 5));
    assert_eq!(ended.task.children, counts(5, 0, 0));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_dry_run_tells_of_a_split_and_of_a_reduce() {
    let (world, plan) = (World::new(), Plan::default());
    *plan.0.bad.lock().unwrap() = vec![2];
    let id = world.enqueue(sum(1_005, 500)).await;
    let worker = batch(world.worker(), &plan).build().unwrap();
    let dry = world.client.dry_run(id, &worker).await.unwrap();
    assert_eq!((dry.state(), dry.children), (TaskState::Joining, 1_005));
    assert_eq!(dry.would_enqueue.len(), 1_005);
    assert_eq!(world.detail(id).await.task.children, counts(0, 0, 0));
    let handle = worker.start();
    assert_eq!(ended(&world, id).await, answer(1_005, &[2]));
    let worker = batch(world.worker(), &plan).build().unwrap();
    let dry = world.client.dry_run(id, &worker).await.unwrap();
    assert_eq!(dry.children, 0);
    let told: Answer = dry.after.output.unwrap().decode().unwrap();
    assert_eq!(told, answer(1_005, &[2]));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_batch_tried_before_it_is_stored_is_left_to_the_worker_when_it_is_large() {
    for below in [2, 7] {
        let (world, plan) = (World::new(), Plan::default());
        let handle = batch(world.worker(), &plan).build().unwrap().start();
        handle.ready().await;
        let client = world.client.attach(&handle);
        let tried = client.enqueue(Sum { below, chunk: 3 }).try_first();
        drop(world.finish("the try", tried).await.unwrap());
        let id = world
            .list(TaskFilter::default())
            .await
            .into_iter()
            .find(|task| task.parent.is_none())
            .unwrap()
            .id;
        assert_eq!(ended(&world, id).await, answer(below, &[]));
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_shard_that_is_out_of_bounds_fails_the_batch_for_good() {
    async fn invalid(_: Sum, State(plan): State<Plan>) -> Result<Shards<Number>, HandlerError> {
        drop(plan);
        let shard = |n| Shard::new(Number(n)).queue(if n == 3 { "no spaces" } else { "default" });
        Ok(Shards::new((0..5).map(shard)).chunk(1))
    }
    let (world, plan) = (World::new(), Plan::default());
    let id = world.enqueue(sum(0, 0)).await;
    let worker = world.worker().state(plan.clone());
    let worker = worker.batch(Batch::of_others(invalid, super::reduce));
    let handle = worker.build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (TaskState::Failed, 1));
    let error = ended.last_error.unwrap();
    assert!(
        error.as_str().contains("shard 3 is invalid: invalid queue"),
        "{error}"
    );
    world.shut_down(handle).await;
}

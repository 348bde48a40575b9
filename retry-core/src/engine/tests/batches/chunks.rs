//! Splits in chunks: each in one write with its place, none lost, none twice.

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::super::faulty::{Fault, Op};
use super::super::harness::{SECOND, WithKind as _, World, job, quiet, script};
use super::{Number, Plan, Sum, answer, batch, counts, ended, sum};
use crate::batch::{Batch, Shards};
use crate::clock::{Clock as _, ManualClock};
use crate::draft::Draft;
use crate::engine::WorkerBuilder;
use crate::engine::tests::harness::done;
use crate::executor::{Ctx, HandlerError, Outcome, SplitState, State, Stored};
use crate::limits::{MAX_CHUNK_BYTES, MAX_SHARDS, MAX_SPLIT_CHILDREN};
use crate::payload::Payload;
use crate::store::StoreErrorKind;
use crate::task::State as TaskState;

#[tokio::test]
async fn every_number_of_shards_is_split_and_reduced() {
    for below in [0, 1, 2, 3, 4, 6, 7] {
        let (world, plan) = (World::new(), Plan::default());
        let id = world.enqueue(sum(below, 3)).await;
        let handle = batch(world.worker(), &plan).build().unwrap().start();
        assert_eq!(ended(&world, id).await, answer(below, &[]));
        assert_eq!(plan.executed(), (0..below).collect::<Vec<_>>());
        let task = world.detail(id).await.task;
        assert_eq!((task.children, task.step), (counts(below, 0, 0), 1));
        // One claim and one split, one claim and one end, and a chunk for each three that were not the last.
        let chunks = u64::from(below.saturating_sub(1) / 3);
        assert_eq!(task.version, 4 + chunks, "{below} shards");
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_thousand_are_one_write_and_one_more_are_two() {
    for (below, chunks) in [(MAX_SPLIT_CHILDREN, 0), (MAX_SPLIT_CHILDREN + 1, 1)] {
        let (world, plan) = (World::new(), Plan::default());
        let below = u32::try_from(below).unwrap();
        let id = world.enqueue(sum(below, 0)).await;
        let handle = batch(world.worker(), &plan).build().unwrap().start();
        assert_eq!(ended(&world, id).await, answer(below, &[]));
        assert_eq!(world.detail(id).await.task.version, 4 + chunks);
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_failed_split_goes_on_behind_what_is_stored() {
    let (world, plan) = (World::new(), Plan::default());
    *plan.0.fails_at.lock().unwrap() = Some((5, 2));
    let id = world.enqueue(sum(9, 2)).await;
    let handle = batch(world.worker(), &plan).build().unwrap().start();
    assert_eq!(ended(&world, id).await, answer(9, &[]));
    assert_eq!(plan.executed(), (0..9).collect::<Vec<_>>(), "each once");
    assert_eq!(plan.splits(), 3);
    assert_eq!(world.detail(id).await.failures.len(), 2);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn shards_that_end_early_do_not_wake_their_parent() {
    let (world, plan, gate) = (World::new(), Plan::default(), CancellationToken::new());
    *plan.0.gate.lock().unwrap() = Some((5, gate.clone()));
    let id = world.enqueue(sum(6, 2)).await;
    let handle = batch(world.worker(), &plan).build().unwrap().start();
    world
        .until("four shards end", async || plan.executed().len() == 4)
        .await;
    quiet().await;
    let task = world.detail(id).await.task;
    assert_eq!(
        (task.state, task.step, task.children),
        (TaskState::Running, 0, counts(4, 0, 0))
    );
    let progress = world.client.batch(id).await.unwrap().unwrap();
    assert_eq!((progress.ended(), progress.total()), (4, None));
    gate.cancel();
    assert_eq!(ended(&world, id).await, answer(6, &[]));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_chunk_whose_answer_is_lost_counts_once() {
    for fault in [
        Fault::Answerless,
        Fault::Lost,
        Fault::Rejected(StoreErrorKind::Unavailable),
        Fault::Panic,
    ] {
        let (world, plan, gate) = (World::new(), Plan::default(), CancellationToken::new());
        *plan.0.gate.lock().unwrap() = Some((2, gate.clone()));
        let store = world.store();
        let id = world.enqueue(sum(7, 2)).await;
        let handle = batch(world.worker_on(&store), &plan).build().unwrap().start();
        world.until("the split begins", async || plan.splits() == 1).await;
        quiet().await;
        store.plan(Op::Exchange, &fault, 3);
        gate.cancel();
        assert_eq!(ended(&world, id).await, answer(7, &[]), "{fault:?}");
        assert_eq!(plan.executed(), (0..7).collect::<Vec<_>>());
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_lost_worker_s_split_is_finished_by_another() {
    let (world, plan) = (World::new(), Plan::default());
    *plan.0.gate.lock().unwrap() = Some((5, CancellationToken::new()));
    let store = world.store();
    let id = world.enqueue(sum(8, 2)).await;
    let lost = batch(world.worker_on(&store), &plan).build().unwrap().start();
    world
        .until("two chunks are stored", async || {
            world.detail(id).await.task.children.total == 4
        })
        .await;
    store.all(Some(Fault::Lost));
    *plan.0.gate.lock().unwrap() = None;
    let handle = batch(world.worker(), &plan).build().unwrap().start();
    assert_eq!(ended(&world, id).await, answer(8, &[]));
    let task = world.detail(id).await.task;
    assert_eq!(task.children, counts(8, 0, 0));
    store.heal();
    world.shut_down(lost).await;
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_long_split_gives_its_task_back_now_and_then() {
    async fn given(below: Sum, ctx: Ctx, State(plan): State<Plan>) -> Result<Shards<Number>, HandlerError> {
        assert_eq!(ctx.attempt(), 1, "none is counted");
        super::split(below, State(plan))
            .await
            .map(|shards| shards.chunks_per_attempt(2))
    }
    let (world, plan) = (World::new(), Plan::default());
    let id = world.enqueue(sum(9, 1)).await;
    let worker = world.worker().state(plan.clone());
    let worker = worker.batch(Batch::new(given, super::execute, super::reduce));
    let handle = worker.build().unwrap().start();
    assert_eq!(ended(&world, id).await, answer(9, &[]));
    assert_eq!(plan.splits(), 5, "two chunks each, and the last with the end");
    assert_eq!(plan.executed(), (0..9).collect::<Vec<_>>());
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_split_that_gives_its_task_back_is_not_put_behind_its_shards() {
    let (world, plan) = (World::new(), Plan::default());
    let id = world.enqueue(sum(5_500, 500)).await;
    let ran = plan.clone();
    let shard = script(move |_| {
        ran.0.executed.lock().unwrap().push(0);
        async { Ok(Outcome::output(&1)?) }
    });
    let worker = timed(&world, &plan, Batch::of_others(slowly, super::reduce)).kind("number", shard);
    let handle = worker.concurrency(1).build().unwrap().start();
    assert_eq!(ended(&world, id).await.sum, 5_500);
    let ran_before = plan.0.ran_before.lock().unwrap().clone();
    assert_eq!(ran_before.len(), 11);
    // Those that were claimed ahead while the one place was the split's.
    assert!(ran_before[10] <= 10, "{ran_before:?}");
    world.shut_down(handle).await;
}

/// A split whose source needs a second for 500 shards, with a timeout for the 1,000 of an attempt.
async fn slowly(
    sum: Sum,
    State(plan): State<Plan>,
    State(clock): State<ManualClock>,
) -> Result<Shards<Number>, HandlerError> {
    use futures_util::StreamExt as _;
    plan.split_begins();
    let give = move |number| {
        let (plan, clock) = (plan.clone(), clock.clone());
        async move {
            if number % 500 == 499 {
                clock.sleep_until(clock.monotonic() + SECOND).await;
            }
            plan.give(number).await.map(|(_, number)| number)
        }
    };
    let numbers = futures_util::stream::iter(0..sum.below).then(give);
    let shards = Shards::stream(numbers).chunk(sum.chunk);
    Ok(shards.chunks_per_attempt(1))
}

fn timed(world: &World, plan: &Plan, batch: Batch<Sum, Number>) -> WorkerBuilder {
    let worker = world.worker().state(plan.clone()).state(world.clock.clone());
    worker.batch(batch.options(|options| options.timeout(SECOND * 4)))
}

#[tokio::test]
async fn what_is_passed_over_does_not_use_the_timeout_up() {
    let (world, plan) = (World::new(), Plan::default());
    let id = world.enqueue(sum(4_200, 1_000)).await;
    let batch = Batch::new(slowly, super::execute, super::reduce);
    let worker = timed(&world, &plan, batch).concurrency(500);
    let handle = worker.build().unwrap().start();
    assert_eq!(ended(&world, id).await, answer(4_200, &[]));
    assert_eq!(world.detail(id).await.failures.len(), 0);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_source_that_stands_still_meets_the_timeout_also_among_what_is_passed_over() {
    let (world, plan) = (World::new(), Plan::default());
    let id = world.enqueue(sum(4_200, 1_000)).await;
    let batch = Batch::new(slowly, super::execute, super::reduce);
    let worker = timed(&world, &plan, batch).concurrency(500);
    let handle = worker.build().unwrap().start();
    world
        .until("a chunk is stored", async || {
            world.detail(id).await.task.children.total == 1_000
        })
        .await;
    *plan.0.gate.lock().unwrap() = Some((700, CancellationToken::new()));
    let ended = world.until_final(id).await;
    let error = ended.last_error.unwrap();
    assert!(error.as_str().contains("no answer within 4s"), "{error}");
    assert_eq!(ended.failures.len(), 3);
    assert!(world.elapsed() < SECOND * 40, "{:?}", world.elapsed());
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_start_deadline_does_not_end_a_split_that_has_begun() {
    async fn given(below: Sum, State(plan): State<Plan>) -> Result<Shards<Number>, HandlerError> {
        let shards = super::split(below, State(plan)).await?;
        Ok(shards.chunks_per_attempt(1))
    }
    let (world, plan, gate) = (World::new(), Plan::default(), CancellationToken::new());
    *plan.0.gate.lock().unwrap() = Some((4, gate.clone()));
    let id = world.enqueue(sum(9, 2).expires_after(SECOND * 60)).await;
    let worker = world.worker().state(plan.clone());
    let worker = worker.batch(Batch::new(given, super::execute, super::reduce));
    let handle = worker.build().unwrap().start();
    world
        .until("a chunk is stored", async || {
            world.detail(id).await.task.children.total == 2
        })
        .await;
    world.pass(SECOND * 120).await;
    gate.cancel();
    assert_eq!(ended(&world, id).await, answer(9, &[]));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_dropped_split_keeps_its_place() {
    for saves in [true, false] {
        let (world, gate) = (World::new(), CancellationToken::new());
        let store = world.store();
        let id = world.enqueue(job("parent")).await;
        let (faults, held) = (store.clone(), gate.clone());
        let parent = script(move |ctx: Ctx| {
            let (faults, held) = (faults.clone(), held.clone());
            async move {
                let shards = || Shards::new((0..5).map(Number)).chunk(2);
                match (ctx.step(), ctx.stored().split) {
                    (0, None) => {
                        faults.plan(Op::Exchange, &Fault::HoldAnswer(held), 1);
                        assert!(ctx.split(shards()).now_or_never().is_none());
                        if saves {
                            ctx.save_checkpoint("own").await?;
                            return Err("once".into());
                        }
                        Ok(Outcome::Continue(Payload::encode("own")?, SECOND))
                    }
                    (0, Some(split)) => {
                        let own = ctx.checkpoint::<String>()?;
                        assert_eq!((split.next, own.as_deref()), (2, Some("own")));
                        ctx.split(shards()).await
                    }
                    _ => Ok(Outcome::Done),
                }
            }
        });
        let worker = world.worker_on(&store).kind("parent", parent);
        let handle = worker.kind("number", done()).build().unwrap().start();
        quiet().await;
        gate.cancel();
        let ended = world.until_final(id).await;
        assert_eq!(ended.task.state, TaskState::Succeeded, "{:?}", ended.last_error);
        assert_eq!(ended.task.children, counts(5, 0, 0));
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_split_with_a_place_of_its_own_is_not_begun_anew() {
    async fn given(sum: Sum, ctx: Ctx, State(plan): State<Plan>) -> Result<Shards<Number>, HandlerError> {
        use futures_util::StreamExt as _;
        let from: u32 = ctx.checkpoint()?.unwrap_or(0);
        plan.0.executed.lock().unwrap().push(100 + from);
        let numbers = futures_util::stream::iter(from..sum.below);
        Ok(Shards::with_cursor(numbers.then(move |n| plan.clone().give(n))).chunk(sum.chunk))
    }
    let (world, plan) = (World::new(), Plan::default());
    *plan.0.fails_at.lock().unwrap() = Some((5, 1));
    let id = world.enqueue(sum(7, 2)).await;
    let worker = world.worker().state(plan.clone());
    let worker = worker.batch(Batch::new(given, super::execute, super::reduce));
    let handle = worker.build().unwrap().start();
    assert_eq!(ended(&world, id).await, answer(7, &[]));
    let wanted: Vec<u32> = (0..7).chain([100, 104]).collect();
    assert_eq!(plan.executed(), wanted, "the second call begins at 4");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_split_that_gives_fewer_shards_than_before_fails_for_good() {
    async fn shrinking(mut sum: Sum, State(plan): State<Plan>) -> Result<Shards<Number>, HandlerError> {
        if plan.splits() > 0 {
            sum.below = 1;
        }
        super::split(sum, State(plan)).await
    }
    let (world, plan) = (World::new(), Plan::default());
    *plan.0.fails_at.lock().unwrap() = Some((3, 1));
    let id = world.enqueue(sum(6, 2).delay(SECOND)).await;
    let worker = world.worker().state(plan.clone());
    let handle = worker
        .batch(Batch::new(shrinking, super::execute, super::reduce))
        .build()
        .unwrap()
        .start();
    let ended = world.until_final(id).await;
    assert_eq!(ended.task.state, TaskState::Failed);
    let error = ended.last_error.unwrap();
    assert!(
        error
            .as_str()
            .contains("the split gave 1 shards, but 2 are stored"),
        "{error}"
    );
    world.shut_down(handle).await;
}

#[tokio::test]
async fn chunks_are_bounded_in_bytes() {
    let text = "x".repeat(MAX_CHUNK_BYTES / 4 - 100);
    let big = move || Draft::raw("big", Payload::encode(&text).unwrap());
    let world = World::new();
    let id = world.enqueue(job("parent")).await;
    let parent = script(move |ctx: Ctx| {
        let big = big.clone();
        async move {
            match ctx.step() {
                0 => ctx.split(Shards::drafts((0..9).map(move |_| big()))).await,
                _ => Ok(Outcome::output(&ctx.version())?),
            }
        }
    });
    let worker = world.worker().kind("parent", parent).kind("big", done());
    let handle = worker.build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!(ended.task.children, counts(9, 0, 0));
    assert_eq!(
        ended.output.unwrap().as_json(),
        "5",
        "two chunks of four, and the last with the end"
    );
    world.shut_down(handle).await;
}

#[tokio::test]
async fn there_is_a_largest_split() {
    for (stored, fits) in [(MAX_SHARDS - 1, true), (MAX_SHARDS, false)] {
        let world = World::new();
        let id = world.enqueue(job("parent")).await;
        let parent = script(move |ctx: Ctx| async move {
            if ctx.step() > 0 {
                return Ok(Outcome::Done);
            }
            let split = SplitState {
                next: stored,
                ..SplitState::begun(0, 0, ctx.created_at(), ctx.children())
            };
            let (split, own) = (Some(split), None);
            ctx.known().set(Stored { split, own });
            let one = futures_util::stream::iter([Ok::<_, HandlerError>((1, Number(1)))]);
            ctx.split(Shards::with_cursor(one)).await
        });
        let worker = world.worker().kind("parent", parent).kind("number", done());
        let handle = worker.build().unwrap().start();
        let ended = world.until_final(id).await;
        assert_eq!(ended.task.state == TaskState::Succeeded, fits);
        if let Some(error) = ended.last_error {
            assert_eq!(error.as_str(), "the split gives more than 100000000 shards");
        }
        world.shut_down(handle).await;
    }
}

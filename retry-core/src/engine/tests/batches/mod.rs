//! Batches: a kind that splits into numbers, adds one to each, and reduces to their sum.

mod chunks;
mod ends;
mod kinds;
mod reruns;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::harness::{World, each_second};
use crate::batch::{Batch, ReduceError, Reduced, Shards};
use crate::draft::{Draft, TaskOptions, TaskPayload};
use crate::engine::WorkerBuilder;
use crate::executor::{Ctx, Final, HandlerError, Outcome, State};
use crate::id::TaskId;
use crate::store::TaskFilter;
use crate::task::{Children, State as TaskState, Task};

/// Adds one to all numbers below `below`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Sum {
    below: u32,
    chunk: usize,
}

impl TaskPayload for Sum {
    const KIND: &'static str = "sum";

    fn options() -> TaskOptions {
        TaskOptions::new().retry(each_second(3))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Number(u32);

impl TaskPayload for Number {
    const KIND: &'static str = "number";

    fn options() -> TaskOptions {
        TaskOptions::new().retry(each_second(1))
    }
}

/// What the functions of the batch do beside their work, and what they saw.
#[derive(Debug, Clone, Default)]
struct Plan(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The split fails before it gives this shard, so often.
    fails_at: Mutex<Option<(u32, u32)>>,
    /// The split waits here before it gives the shard, until it may go on.
    gate: Mutex<Option<(u32, CancellationToken)>>,
    /// Numbers of which the shard fails in its first life.
    bad: Mutex<Vec<u32>>,
    /// The reduce fails so often.
    reduce_fails: AtomicU32,
    splits: AtomicU32,
    reduces: AtomicU32,
    executed: Mutex<Vec<u32>>,
    /// How many shards had run when the split was called.
    ran_before: Mutex<Vec<usize>>,
}

impl Plan {
    fn executed(&self) -> Vec<u32> {
        let mut executed = self.0.executed.lock().unwrap().clone();
        executed.sort_unstable();
        executed
    }

    fn splits(&self) -> u32 {
        self.0.splits.load(Ordering::SeqCst)
    }

    fn split_begins(&self) {
        self.0.splits.fetch_add(1, Ordering::SeqCst);
        self.0.ran_before.lock().unwrap().push(self.executed().len());
    }

    fn reduces(&self) -> u32 {
        self.0.reduces.load(Ordering::SeqCst)
    }

    /// The shards from `from` on, with what is planned for them.
    async fn give(self, number: u32) -> Result<(u32, Number), HandlerError> {
        let gate = self.0.gate.lock().unwrap().clone();
        if let Some((_, gate)) = gate.filter(|(at, _)| *at == number) {
            gate.cancelled().await;
        }
        let mut fails = self.0.fails_at.lock().unwrap();
        if let Some((at, times)) = fails.as_mut()
            && *at == number
            && *times > 0
        {
            *times -= 1;
            return Err("the source fails".into());
        }
        Ok((number + 1, Number(number)))
    }
}

async fn split(sum: Sum, State(plan): State<Plan>) -> Result<Shards<Number>, HandlerError> {
    use futures_util::StreamExt as _;
    plan.split_begins();
    let numbers = futures_util::stream::iter(0..sum.below).then(move |number| plan.clone().give(number));
    let shards = Shards::stream(numbers.map_ok(|(_, number)| number));
    Ok(if sum.chunk == 0 {
        shards
    } else {
        shards.chunk(sum.chunk)
    })
}

async fn execute(Number(n): Number, ctx: Ctx, State(plan): State<Plan>) -> Result<Outcome, HandlerError> {
    if ctx.reruns() == 0 && plan.0.bad.lock().unwrap().contains(&n) {
        return Err("bad".into());
    }
    plan.0.executed.lock().unwrap().push(n);
    Ok(Outcome::output(&(n + 1))?)
}

/// What the reduce answers: the sum of the outputs, the counts, and the errors of the failed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Answer {
    sum: u32,
    counts: Children,
    failed: Vec<String>,
}

async fn reduce(_: Sum, shards: Reduced, State(plan): State<Plan>) -> Result<Outcome, HandlerError> {
    plan.0.reduces.fetch_add(1, Ordering::SeqCst);
    let counted = |fails: u32| fails.checked_sub(1);
    if plan
        .0
        .reduce_fails
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, counted)
        .is_ok()
    {
        return Err("the reduce fails".into());
    }
    let add = async |sum: u32, number: u32| Ok::<_, ReduceError>(sum + number);
    let sum = shards.outputs::<u32>().try_fold(0, add).await?;
    let failed = shards.failed().map_ok(|shard| shard.error.unwrap_or_default());
    let failed = failed.try_collect().await?;
    let counts = shards.counts();
    Ok(Outcome::output(&Answer { sum, counts, failed })?)
}

fn batch(worker: WorkerBuilder, plan: &Plan) -> WorkerBuilder {
    worker
        .state(plan.clone())
        .batch(Batch::new(split, execute, reduce))
}

fn sum(below: u32, chunk: usize) -> Draft {
    Draft::of(&Sum { below, chunk })
}

const fn counts(total: u32, open: u32, failed: u32) -> Children {
    Children { total, open, failed }
}

fn answer(below: u32, failed: &[u32]) -> Answer {
    let bad = |n: &u32| failed.contains(n);
    Answer {
        sum: (0..below).filter(|n| !bad(n)).map(|n| n + 1).sum(),
        counts: counts(below, 0, u32::try_from(failed.len()).unwrap()),
        failed: vec!["bad".to_owned(); failed.len()],
    }
}

async fn ended(world: &World, id: TaskId) -> Answer {
    let ended = world.until_final(id).await;
    assert_eq!(ended.task.state, TaskState::Succeeded, "{:?}", ended.last_error);
    ended.output.unwrap().decode().unwrap()
}

async fn shards(world: &World, id: TaskId) -> Vec<Task> {
    world
        .list(TaskFilter {
            parent: Some(id),
            ..TaskFilter::default()
        })
        .await
}

/// A final error, for splits.
fn never() -> HandlerError {
    Final::new("never").into()
}

//! Batches under every fault that the kit knows: at each await of the split, of the shards and of the reduce.

use std::convert::Infallible;

use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};

use super::{each_minute, pause};
use crate::batch::{Batch, ReduceError, Reduced, Shards};
use crate::draft::{InvalidTask, TaskOptions, TaskPayload};
use crate::executor::Outcome;
use crate::store::{Page, TaskFilter, TaskStore as _};
use crate::task::{Children, State};
use crate::testing::{Fault, TestKit, check_idempotent};

const SHARDS: u32 = 4;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sum;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Number(u32);

impl TaskPayload for Sum {
    const KIND: &'static str = "sum";

    fn options() -> TaskOptions {
        TaskOptions::new().retry(each_minute())
    }
}

impl TaskPayload for Number {
    const KIND: &'static str = "number";

    fn options() -> TaskOptions {
        TaskOptions::new().retry(each_minute())
    }
}

async fn split(_: Sum) -> Result<Shards<Number>, Infallible> {
    pause().await;
    let numbers = futures_util::stream::iter(0..SHARDS);
    let numbers = futures_util::StreamExt::then(numbers, async |n| {
        pause().await;
        Ok::<_, Infallible>(Number(n))
    });
    Ok(Shards::stream(numbers).chunk(1))
}

async fn execute(Number(n): Number) -> Result<Outcome, InvalidTask> {
    pause().await;
    Outcome::output(&(n + 1))
}

async fn reduce(_: Sum, shards: Reduced) -> Result<Outcome, ReduceError> {
    let add = async |sum: u32, n: u32| Ok::<_, ReduceError>(sum + n);
    let sum = shards.outputs::<u32>().try_fold(0, add).await?;
    pause().await;
    Ok(Outcome::output(&sum).unwrap())
}

/// One parent with the right sum, and each shard once.
async fn reduced_once(kit: &TestKit, _: &()) {
    let listed = kit
        .store()
        .list(
            &TaskFilter {
                with_output: true,
                ..TaskFilter::default()
            },
            &Page::first(100),
        )
        .await
        .unwrap();
    let (parents, shards): (Vec<_>, Vec<_>) = listed.tasks.iter().partition(|row| row.task.parent.is_none());
    let [parent] = parents[..] else {
        panic!("{} parents", parents.len());
    };
    assert_eq!(parent.task.state, State::Succeeded);
    assert_eq!(parent.output.as_ref().unwrap().as_json(), "10");
    let (total, open, failed) = (SHARDS, 0, 0);
    assert_eq!(parent.task.children, Children { total, open, failed });
    let mut numbers: Vec<u32> = shards
        .iter()
        .map(|row| row.output.as_ref().unwrap().decode().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_batch_is_right_whatever_strikes_wherever() {
    let setup = async |kit: TestKit| {
        let kit = kit.worker(|worker| worker.batch(Batch::new(split, execute, reduce)));
        (kit, ())
    };
    let tried = check_idempotent(setup, Sum, reduced_once).await.unwrap().tried;
    assert!(tried.contains(&Fault::CrashAtAwait(12)), "{tried:?}");
    assert!(
        tried.contains(&Fault::CrashBeforeSettle(6)),
        "the split, four shards, the reduce: {tried:?}"
    );
    assert!(tried.contains(&Fault::LoseReply(2)), "{tried:?}");
}

//! S on a toy queue: what the size of a store costs the driver itself.

use anyhow::{Context as _, Result, ensure};

use super::Toy;
use super::run::{batches, payloads};
use crate::args::Run;
use crate::clock::Stopwatch;
use crate::full::{BATCH, ROUNDS, SAMPLE, quotients};
use crate::job::After;
use crate::stats::Sample;

/// The rate of jobs drained beside what else the toy holds ÷ the rate of as many alone, in turns as in S of the engine.
pub(super) async fn sizes(run: &Run, most: usize) -> Result<Vec<Sample>> {
    let payloads = payloads(most.max(SAMPLE * ROUNDS));
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    let few = &payloads[..SAMPLE];
    let mut samples = Vec::new();
    for (name, waiting) in [("S.200k", most / 5), ("S.1M", most)] {
        let Some(mut crowded) = run.store.toy(run, After::Keep).await? else {
            return Ok(samples);
        };
        batches(&mut *crowded, &payloads[..waiting.max(SAMPLE * ROUNDS)]).await?;
        samples.extend(compare(name, waiting, run, &mut *crowded, &[], few).await?);
    }
    let mut crowded = run
        .store
        .toy(run, After::Keep)
        .await?
        .context("the toy is gone")?;
    batches(&mut *crowded, &payloads[..most]).await?;
    first(&mut *crowded, most).await?;
    samples.extend(compare("S.1M-finished", most, run, &mut *crowded, few, few).await?);
    Ok(samples)
}

/// Drains `crowded`, to which `refill` is added before each round, and a toy that holds nothing but `few`.
async fn compare(
    name: &str,
    n: usize,
    run: &Run,
    crowded: &mut dyn Toy,
    refill: &[&str],
    few: &[&str],
) -> Result<Vec<Sample>> {
    let mut alone = run
        .store
        .toy(run, After::Keep)
        .await?
        .context("the toy is gone")?;
    let mut pairs = Vec::new();
    for _ in 0..ROUNDS {
        batches(&mut *alone, few).await?;
        let without = first(&mut *alone, SAMPLE).await?;
        batches(crowded, refill).await?;
        pairs.push((without, first(crowded, SAMPLE).await?));
    }
    Ok(quotients(name, n, &pairs))
}

/// The rate at which the first jobs are drained; as many are settled as claimed.
async fn first(toy: &mut dyn Toy, most: usize) -> Result<f64> {
    let watch = Stopwatch::start();
    let (mut drained, mut held) = (0, Vec::new());
    while drained < most {
        held = toy.turn(&[], &held, BATCH.min(most - drained)).await?;
        ensure!(!held.is_empty(), "{drained} of {most} jobs were drained");
        drained += held.len();
    }
    toy.turn(&[], &held, 0).await?;
    Ok(watch.rate(most))
}

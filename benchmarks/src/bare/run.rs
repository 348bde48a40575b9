//! The workloads on a toy queue.

use anyhow::{Result, anyhow, ensure};

use super::writer::Writer;
use super::{Toy, size};
use crate::args::{Run, Workload};
use crate::clock::{Stopwatch, pause};
use crate::full::{BATCH, PRODUCERS, latency_samples};
use crate::job::{After, Job};
use crate::stats::Sample;

/// One repetition of a workload; empty for one that has no bare form, and for a store that has no driver below it.
pub(crate) async fn run(workload: Workload, run: &Run) -> Result<Vec<Sample>> {
    let n = run.n(workload);
    if workload == Workload::S {
        return size::sizes(run, n).await;
    }
    let payloads = payloads(n);
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    let kinds: &[(&str, After)] = match workload {
        Workload::E1 => &[("E1", After::Keep)],
        Workload::E32 => &[("E32", After::Keep)],
        Workload::EB => &[("EB", After::Keep)],
        Workload::D => &[("D.keep", After::Keep), ("D.delete", After::Delete)],
        Workload::M => &[("M", After::Keep)],
        Workload::MB => &[("MB", After::Keep)],
        Workload::L => &[("L", After::Keep)],
        Workload::H | Workload::S | Workload::F | Workload::U | Workload::B | Workload::P => &[],
    };
    let mut samples = Vec::new();
    for (name, after) in kinds {
        let Some(mut toy) = run.store.toy(run, *after).await? else {
            return Ok(samples);
        };
        let rate = match workload {
            Workload::E1 => one_by_one(&mut *toy, &payloads).await?,
            Workload::E32 | Workload::M => coalesced(toy, &payloads, workload == Workload::M).await?,
            Workload::EB => batches(&mut *toy, &payloads).await?,
            Workload::D => drain(&mut *toy, &payloads).await?,
            Workload::MB => mixed_batches(&mut *toy, &payloads).await?,
            Workload::L => return latency(&mut *toy, &payloads).await,
            Workload::H | Workload::S | Workload::F | Workload::U | Workload::B | Workload::P => continue,
        };
        samples.push(Sample::rate(*name, n, rate));
    }
    Ok(samples)
}

pub(super) fn payloads(n: usize) -> Vec<String> {
    (0..n).map(|number| Job::new(number).json()).collect()
}

async fn one_by_one(toy: &mut dyn Toy, payloads: &[&str]) -> Result<f64> {
    let watch = Stopwatch::start();
    for payload in payloads {
        toy.turn(&[payload], &[], 0).await?;
    }
    Ok(watch.rate(payloads.len()))
}

pub(super) async fn batches(toy: &mut dyn Toy, payloads: &[&str]) -> Result<f64> {
    let watch = Stopwatch::start();
    for batch in payloads.chunks(BATCH) {
        toy.turn(batch, &[], 0).await?;
    }
    Ok(watch.rate(payloads.len()))
}

async fn drain(toy: &mut dyn Toy, payloads: &[&str]) -> Result<f64> {
    let n = payloads.len();
    batches(toy, payloads).await?;
    let watch = Stopwatch::start();
    let (mut drained, mut bytes, mut held) = (0, 0, Vec::new());
    loop {
        held = toy.turn(&[], &held, BATCH).await?;
        if held.is_empty() {
            break;
        }
        drained += held.len();
        bytes += held.iter().map(|claimed| claimed.payload.len()).sum::<usize>();
    }
    let rate = watch.rate(n);
    ensure!(
        drained == n && bytes == 100 * n,
        "{drained} of {n} jobs were drained"
    );
    Ok(rate)
}

/// E32, and M when the writer also processes: concurrent producers, one job a call, one commit a group.
async fn coalesced(toy: Box<dyn Toy>, payloads: &[&str], processes: bool) -> Result<f64> {
    let n = payloads.len();
    let (writer, thread) = Writer::start(toy, processes);
    let watch = Stopwatch::start();
    let mut producers = tokio::task::JoinSet::new();
    for part in payloads.chunks(n.div_ceil(PRODUCERS)) {
        let part: Vec<String> = part.iter().map(ToString::to_string).collect();
        let writer = writer.clone();
        producers.spawn(async move {
            for payload in part {
                writer.insert(payload).await?;
            }
            anyhow::Ok(())
        });
    }
    drop(writer);
    while let Some(ended) = producers.join_next().await {
        ended??;
    }
    let settled = thread.join().map_err(|_| anyhow!("the writer panicked"))??;
    let rate = watch.rate(n);
    ensure!(!processes || settled == n, "{settled} of {n} jobs were settled");
    Ok(rate)
}

/// MB: one transaction inserts a batch, settles the last one and claims the next.
async fn mixed_batches(toy: &mut dyn Toy, payloads: &[&str]) -> Result<f64> {
    let watch = Stopwatch::start();
    let (mut settled, mut held) = (0, Vec::new());
    let mut batches = payloads.chunks(BATCH);
    while settled < payloads.len() {
        settled += held.len();
        let batch = batches.next().unwrap_or_default();
        held = toy.turn(batch, &held, BATCH).await?;
    }
    Ok(watch.rate(payloads.len()))
}

/// L: a commit that inserts and one that claims.
async fn latency(toy: &mut dyn Toy, payloads: &[&str]) -> Result<Vec<Sample>> {
    let mut millis = Vec::with_capacity(payloads.len());
    for payload in payloads {
        pause(std::time::Duration::from_millis(2)).await;
        let watch = Stopwatch::start();
        toy.turn(&[payload], &[], 0).await?;
        let held = toy.turn(&[], &[], 1).await?;
        millis.push(watch.elapsed().as_secs_f64() * 1_000.0);
        toy.turn(&[], &held, 0).await?;
    }
    Ok(latency_samples(payloads.len(), &millis))
}

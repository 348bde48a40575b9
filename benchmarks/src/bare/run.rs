//! The workloads on the toy queue.

use anyhow::{Result, anyhow, ensure};

use super::sqlite::Toy;
use super::sqlite_writer::Writer;
use crate::args::{Run, Workload};
use crate::clock::{Stopwatch, pause};
use crate::full::{BATCH, PRODUCERS, latency_samples};
use crate::job::{After, Job};
use crate::stats::Sample;

pub(super) async fn run(workload: Workload, run: &Run) -> Result<Vec<Sample>> {
    let n = run.n(workload);
    let payloads: Vec<String> = (0..n).map(|number| Job::new(number).json()).collect();
    match workload {
        Workload::E1 => one_by_one(run, &payloads),
        Workload::E32 => coalesced("E32", run, payloads, false).await,
        Workload::EB => batches(run, &payloads),
        Workload::D => drains(run, &payloads),
        Workload::M => coalesced("M", run, payloads, true).await,
        Workload::MB => mixed_batches(run, &payloads),
        Workload::L => latency(run, &payloads).await,
        Workload::S | Workload::F | Workload::U | Workload::B => Ok(Vec::new()),
    }
}

fn one_by_one(run: &Run, payloads: &[String]) -> Result<Vec<Sample>> {
    let mut toy = Toy::fresh(run, After::Keep)?;
    let watch = Stopwatch::start();
    for payload in payloads {
        toy.turn([payload.as_str()], &[], 0)?;
    }
    Ok(vec![Sample::rate(
        "E1",
        payloads.len(),
        watch.rate(payloads.len()),
    )])
}

fn batches(run: &Run, payloads: &[String]) -> Result<Vec<Sample>> {
    let mut toy = Toy::fresh(run, After::Keep)?;
    let watch = Stopwatch::start();
    toy.insert_all(payloads)?;
    Ok(vec![Sample::rate(
        "EB",
        payloads.len(),
        watch.rate(payloads.len()),
    )])
}

fn drains(run: &Run, payloads: &[String]) -> Result<Vec<Sample>> {
    let n = payloads.len();
    let mut samples = Vec::new();
    for after in After::ALL {
        let mut toy = Toy::fresh(run, after)?;
        toy.insert_all(payloads)?;
        let watch = Stopwatch::start();
        let (drained, bytes) = toy.drain()?;
        let rate = watch.rate(n);
        ensure!(
            drained == n && bytes == 100 * n,
            "{drained} of {n} jobs were drained"
        );
        samples.push(Sample::rate(format!("D.{}", after.text()), n, rate));
    }
    Ok(samples)
}

/// E32, and M when the writer also processes: concurrent producers, one job a call, one commit a group.
async fn coalesced(name: &str, run: &Run, payloads: Vec<String>, processes: bool) -> Result<Vec<Sample>> {
    let n = payloads.len();
    let (writer, thread) = Writer::start(Toy::fresh(run, After::Keep)?, processes);
    let watch = Stopwatch::start();
    let mut producers = tokio::task::JoinSet::new();
    for part in payloads.chunks(n.div_ceil(PRODUCERS)) {
        let (writer, part) = (writer.clone(), part.to_vec());
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
    Ok(vec![Sample::rate(name, n, rate)])
}

/// MB: one transaction inserts a batch, settles the last one and claims the next.
fn mixed_batches(run: &Run, payloads: &[String]) -> Result<Vec<Sample>> {
    let mut toy = Toy::fresh(run, After::Keep)?;
    let watch = Stopwatch::start();
    let (mut settled, mut held) = (0, Vec::new());
    let mut batches = payloads.chunks(BATCH);
    while settled < payloads.len() {
        settled += held.len();
        let batch = batches.next().unwrap_or_default();
        held = toy.turn(batch.iter().map(String::as_str), &held, BATCH)?;
    }
    Ok(vec![Sample::rate(
        "MB",
        payloads.len(),
        watch.rate(payloads.len()),
    )])
}

/// L: a commit that inserts and one that claims.
async fn latency(run: &Run, payloads: &[String]) -> Result<Vec<Sample>> {
    let mut toy = Toy::fresh(run, After::Keep)?;
    let mut millis = Vec::with_capacity(payloads.len());
    for payload in payloads {
        pause(std::time::Duration::from_millis(2)).await;
        let watch = Stopwatch::start();
        toy.turn([payload.as_str()], &[], 0)?;
        let held = toy.turn([], &[], 1)?;
        millis.push(watch.elapsed().as_secs_f64() * 1_000.0);
        toy.turn([], &held, 0)?;
    }
    Ok(latency_samples(payloads.len(), &millis))
}

//! B: bytes per task, on the disk and in the process.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{drain, enqueue};
use crate::args::Run;
use crate::job::After;
use crate::place::Place;
use crate::stats::{Sample, Unit, ratio};

/// Measures in a process of its own: memory that an earlier workload gave back would hide what this one takes.
pub(super) fn run(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["bytes-child", "--store", &run.store.url()?, "--n", &n.to_string()]);
    child.args(["--concurrency", &run.concurrency.to_string()]);
    child.args(["--prefetch", &run.prefetch.to_string()]);
    if let Some(dir) = &run.dir {
        child.arg("--dir").arg(dir);
    }
    let output = child.output().context("the measuring process")?;
    ensure!(
        output.status.success(),
        "the measuring process failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let sample = |line: &str| {
        let (name, value) = line.split_once('\t')?;
        Some(Sample::new(name, n, value.parse().ok()?, Unit::Bytes))
    };
    text.lines()
        .map(|line| sample(line).with_context(|| format!("the measuring process wrote {line:?}")))
        .collect()
}

/// What the measuring process does; answers its lines.
pub(crate) async fn child(run: &Run) -> Result<Vec<String>> {
    let n = run.n(crate::args::Workload::B);
    let mut lines = Vec::new();
    let mut add = |name: &str, bytes: usize, n: usize| lines.push(format!("{name}\t{:.1}", ratio(bytes, n)));
    let start = resident()?;
    let place = Place::fresh(run).await?;
    enqueue(place.client(), 0, n, After::Keep).await?;
    let filled = resident()?;
    add("B.memory-waiting", filled.saturating_sub(start), n);
    drain(&place, run, n, After::Keep).await?;
    // Not per task: a worker's memory must not grow with what waits.
    add("B.memory-drain", resident()?.saturating_sub(filled), 1);
    let kept = place.close().await?;
    let place = Place::fresh(run).await?;
    enqueue(place.client(), 0, n, After::Keep).await?;
    let waiting = place.close().await?;
    for (name, bytes) in [("B.disk-waiting", waiting), ("B.disk-succeeded", kept)] {
        if let Some(bytes) = bytes {
            add(name, usize::try_from(bytes)?, n);
        }
    }
    Ok(lines)
}

/// Bytes of this process that are in memory.
fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status").context("memory is measured on Linux only")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok());
    Ok(kilobytes.context("no VmRSS in /proc/self/status")? * 1024)
}

//! One batch of any size, run by worker processes that are killed at random, and the check of what it reduces to.

mod crew;
mod work;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use retry_core::client::{BatchProgress, BatchStage, Client};
use retry_core::id::TaskId;
use retry_core::seams::{Random as _, SeededRandom};
use retry_core::task::State;

use crate::args::Run;
use crate::clock::Watch;
use crate::place::{Place, Sum};
use crate::report::line;
use crew::Crew;
use work::Total;

pub(crate) use work::run as work;

/// How often a line tells how far it is.
const TELL: Duration = Duration::from_secs(5);
/// How often the batch is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Without any progress for so long it hangs.
const STALL: Duration = Duration::from_secs(180);
/// The pause between two kills, in milliseconds.
const KILLS: std::ops::Range<u64> = 200..2_500;
/// The most memory a process may ever take, in MiB: a chunk, a page and what runs are all that it holds, whatever the
/// batch's size.
const MEMORY: u64 = 400;

/// Whether all went well.
pub(crate) async fn torture(place: &Place, run: &Run, seed: u64) -> Result<bool> {
    let ledger = place.subject.ledger().await?;
    let ledger = ledger
        .context("the workload `batch` needs a store with rows of the user's own: sqlite or postgres")?;
    let client = place.connect().await?;
    let total = Total { shards: run.shards };
    let wanted = total.sum();
    let id = client.enqueue(total).await?.id;
    line(&format!("batch {id} of {} shards", run.shards));
    let watch = Watch::start();
    let mut crew = Crew::new(place, run.workers, seed);
    let ended = kill_until_ended(&client, id, &mut crew, seed, &watch).await;
    let problems = crew.end(&watch).await?;
    let ended = ended?;
    let seconds = watch.elapsed().as_secs_f64();
    let rate = f64::from(run.shards) / seconds;
    line(&format!(
        "ended after {seconds:.1} s ({rate:.0} shards a second), {} workers killed, peak memory of a worker {} MiB, of this process {} MiB",
        crew.killed,
        crew.peak,
        peak(std::process::id()).unwrap_or(0)
    ));
    let mut wrong = problems;
    wrong.extend(faults(&client, id, &ended, run.shards, wanted, &ledger.sums().await?).await?);
    if crew.peak > MEMORY {
        wrong.push(format!("a worker took {} MiB, more than {MEMORY}", crew.peak));
    }
    wrong.extend(place.subject.damage().await?);
    wrong.iter().for_each(|what| line(&format!("VIOLATION: {what}")));
    if wrong.is_empty() {
        line("no violation");
    }
    Ok(wrong.is_empty())
}

/// Kills workers at random, and starts others, until the batch has ended.
async fn kill_until_ended(
    client: &Client,
    id: TaskId,
    crew: &mut Crew<'_>,
    seed: u64,
    watch: &Watch,
) -> Result<BatchProgress> {
    let random = SeededRandom::new(seed);
    let pause = || {
        let span = KILLS.end - KILLS.start;
        Duration::from_millis(KILLS.start + random.next_u64() % span)
    };
    let mut kill_at = watch.elapsed() + pause();
    let (mut told, mut moved) = (watch.elapsed(), watch.elapsed());
    let mut last = client.batch(id).await?.context("the batch is gone")?;
    let mut told_of = last.clone();
    loop {
        crew.look()?;
        let now = watch.elapsed();
        if now >= kill_at {
            crew.kill(random.next_u64())?;
            kill_at = now + pause();
        }
        let progress = client.batch(id).await?.context("the batch is gone")?;
        if progress.stage == BatchStage::Ended {
            return Ok(progress);
        }
        if progress.shards != last.shards || progress.stage != last.stage {
            moved = now;
        }
        ensure!(
            now < moved + STALL,
            "no progress for {STALL:?}: {}",
            client.why(id).await?
        );
        last = progress;
        if now >= told + TELL {
            tell(&last, &told_of, now, crew);
            (told, told_of) = (now, last.clone());
        }
        watch.pause(LOOK).await;
    }
}

fn tell(progress: &BatchProgress, before: &BatchProgress, now: Duration, crew: &Crew<'_>) {
    let seconds = now.as_secs();
    let (stored, ended) = (progress.shards.total, progress.ended());
    let rate = progress.rate_since(before).unwrap_or(0.0);
    let rest = progress
        .remaining()
        .map_or_else(String::new, |rest| format!(", {} s to go", rest.as_secs()));
    line(&format!(
        "{seconds:>4} s: {:?}, {ended} of {stored} done, {rate:.0} a second{rest}; {} kills, peak {} MiB",
        progress.stage, crew.killed, crew.peak
    ));
}

/// What is wrong about the end.
async fn faults(
    client: &Client,
    id: TaskId,
    ended: &BatchProgress,
    shards: u32,
    wanted: u64,
    sums: &[Sum],
) -> Result<Vec<String>> {
    let task = client.get(id).await?.context("the batch is gone")?.task;
    let mut wrong = Vec::new();
    if ended.state != State::Succeeded {
        wrong.push(format!("the batch {}", client.why(id).await?));
    }
    let counted = (ended.shards.total, ended.shards.open, ended.shards.failed);
    if counted != (shards, 0, 0) {
        wrong.push(format!("it counts {:?}, and has {shards} shards", ended.shards));
    }
    match sums {
        [sum] => {
            line(&format!(
                "the sum is {}, written {} times, last under version {}; the batch ended as version {}",
                sum.sum, sum.times, sum.version, task.version
            ));
            if sum.sum != wanted {
                wrong.push(format!("the sum is {}, not {wanted}", sum.sum));
            }
            // The attempt that wrote it last is the one whose outcome is recorded: nobody wrote behind its back.
            if sum.version + 1 != task.version {
                wrong.push(format!(
                    "version {} wrote the sum, and another ended the batch",
                    sum.version
                ));
            }
        }
        others => wrong.push(format!("there are {} sums, not one", others.len())),
    }
    Ok(wrong)
}

/// The most memory a process ever had, in MiB; none where the system does not tell.
fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024)
}

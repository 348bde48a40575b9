//! P: what is left of the throughput when somebody has held a snapshot for minutes, so that nothing dead is cleared away.

use std::time::Duration;

use anyhow::{Result, bail};

use super::{enqueue, worker};
use crate::args::Run;
use crate::clock::Stopwatch;
use crate::job::{After, Progress};
use crate::place::Place;
use crate::stats::{Sample, Unit};

/// How long is measured without the snapshot, behind a round that is not.
const BEFORE: Duration = Duration::from_secs(20);
/// The last part of the time with it that is measured, as a share.
const END: u32 = 10;

/// Rounds of `n` tasks, enqueued in batches while one worker processes and deletes them.
pub(super) async fn run(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let place = Place::fresh(run).await?;
    let progress = Progress::until(n);
    let handle = worker(place.store(), &progress, run)?.start();
    let rounds = Rounds {
        place: &place,
        progress: &progress,
        n,
    };
    rounds.run(Duration::ZERO).await?;
    let (_, before) = rounds.run(BEFORE).await?;
    let Some(snapshot) = run.store.snapshot().await? else {
        bail!("P needs a store whose database has snapshots: postgres or mysql");
    };
    let pinned = Duration::from_secs(run.minutes.max(1) * 60);
    let watch = Stopwatch::start();
    let (mut handled, mut end) = (0, before);
    for part in 1..=END {
        let left = (pinned * part / END).saturating_sub(watch.elapsed());
        let (tasks, rate) = rounds.run(left).await?;
        (handled, end) = (handled + tasks, rate);
        eprintln!(
            "{:.0} s with a snapshot: {rate:.0} tasks a second",
            watch.elapsed().as_secs_f64()
        );
    }
    drop(snapshot);
    handle.shutdown().await;
    Ok(vec![
        Sample::rate("P.before", n, before),
        Sample::rate("P.end", handled, end),
        Sample::new("P", handled, end / before, Unit::Ratio),
    ])
}

#[derive(Debug)]
struct Rounds<'a> {
    place: &'a Place,
    progress: &'a Progress,
    n: usize,
}

impl Rounds<'_> {
    /// Runs rounds until `span` has passed, at least one; answers how many tasks and how many a second.
    async fn run(&self, span: Duration) -> Result<(usize, f64)> {
        let (watch, mut tasks) = (Stopwatch::start(), 0);
        while tasks == 0 || watch.elapsed() < span {
            enqueue(self.place.client(), 0, self.n, After::Delete).await?;
            self.progress.reached().await;
            tasks += self.n;
        }
        Ok((tasks, watch.rate(tasks)))
    }
}

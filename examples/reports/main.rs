//! A nightly report, split by customer over three processes, one of which is killed. See README.md beside this file.
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

mod cli;
mod crew;
mod orders;
mod report;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Parser as _;
use task_retry::client::{BatchProgress, BatchStage};
use task_retry::clock::{Clock as _, SystemClock};
use task_retry::store::{Page, TaskFilter};
use task_retry::{Client, TaskId, TaskState};

use crate::cli::Cli;
use crate::crew::Crew;
use crate::report::Report;

/// How often the progress is looked at.
const LOOK: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> anyhow::Result<()> {
    let client = task_retry::connect(&cli.store).await?;
    if let Some(name) = &cli.work_as {
        return crew::work(&client, name).await;
    }
    let report = Report {
        orders: absolute(&cli.orders)?,
        out: absolute(&cli.out)?,
    };
    let (orders, out) = (orders::read(&report.orders)?, report.out.clone());
    let id = client.enqueue(report).await?.id;
    println!("report {id} over {} orders", orders.len());
    let mut crew = Crew::start(cli.workers, &cli.store, &std::env::current_dir()?)?;
    let ended = watch(cli, &client, id, &mut crew).await?;
    crew.end()?;
    ensure!(
        ended.state == TaskState::Succeeded,
        "the report {}: {}",
        ended.state,
        client.why(id).await?
    );
    println!(
        "{} shards were begun more than once",
        begun_again(&client, id).await?
    );
    check(&report::path(&out, id), &orders)
}

fn absolute(path: &Path) -> anyhow::Result<std::path::PathBuf> {
    path.canonicalize()
        .with_context(|| format!("there is no {}", path.display()))
}

/// Tells how far it is until it has ended, and kills a worker when half of the shards have.
async fn watch(cli: &Cli, client: &Client, id: TaskId, crew: &mut Crew) -> anyhow::Result<BatchProgress> {
    let clock = SystemClock::new();
    let (mut told, mut killed) = (0, cli.in_peace || cli.workers < 2);
    loop {
        let progress = client.batch(id).await?.context("the report is gone")?;
        if progress.ended() >= told + 40 || progress.stage == BatchStage::Ended {
            told = progress.ended();
            tell(&progress);
        }
        let half = progress
            .total()
            .is_some_and(|total| progress.ended() >= total / 2);
        if half && !killed {
            killed = true;
            println!("killed a worker, process {}", crew.kill_one()?);
        }
        if progress.stage == BatchStage::Ended {
            return Ok(progress);
        }
        if crew.lost_one()? {
            bail!("a worker ended by itself");
        }
        clock.sleep_until(clock.monotonic() + LOOK).await;
    }
}

fn tell(progress: &BatchProgress) {
    let total = progress
        .total()
        .map_or_else(|| "?".to_owned(), |total| total.to_string());
    let rest = match (progress.rate(), progress.remaining()) {
        (Some(rate), Some(rest)) => format!(", {rate:.0} a second, {:.1} s to go", rest.as_secs_f64()),
        _ => String::new(),
    };
    println!(
        "{} of {total} shards done, {} failed{rest}",
        progress.ended(),
        progress.shards.failed
    );
}

/// Shards whose first attempt was not the last: those that the killed worker had.
async fn begun_again(client: &Client, id: TaskId) -> anyhow::Result<usize> {
    let filter = TaskFilter {
        parent: Some(id),
        ..TaskFilter::default()
    };
    let (mut page, mut again) = (Page::first(1_000), 0);
    loop {
        let listed = client.list(&filter, &page).await?;
        again += listed.tasks.iter().filter(|shard| shard.task.attempt > 1).count();
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return Ok(again),
        }
    }
}

/// The file has to be what a plain computation gives.
fn check(file: &Path, orders: &[orders::Order]) -> anyhow::Result<()> {
    let written = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let wanted = orders::text(&orders::plainly(orders));
    ensure!(
        written == wanted,
        "{} is not what a plain computation gives",
        file.display()
    );
    let (customers, all) = (
        wanted.lines().count() - 2,
        wanted.lines().last().unwrap_or_default(),
    );
    println!("{}: right, {customers} customers; {all}", file.display());
    Ok(())
}

//! A long job stores its progress under its lease; its process is killed half-way, and the next one goes on from there.
//!
//! ```sh
//! cargo run --example checkpoint
//! ```
//!
//! The program starts itself twice as a worker. The first one is killed (as by `kill -9`) in the middle of the import; on
//! SQLite a dead process is noticed at once, so the second one resumes without waiting for a lease to end.
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use task_retry::clock::{Clock as _, SystemClock};
use task_retry::sqlite::SqliteStore;
use task_retry::{Client, Ctx, TaskPayload, TaskState, Worker};

/// Pages of the import; the first worker dies after half of them.
const PAGES: u32 = 10;

#[derive(Serialize, Deserialize)]
struct Import {
    pages: u32,
}

impl TaskPayload for Import {
    const KIND: &'static str = "import";
}

async fn import(task: Import, ctx: Ctx) -> anyhow::Result<()> {
    let clock = SystemClock::new();
    let done: u32 = ctx.checkpoint()?.unwrap_or(0);
    println!("attempt {}: begins behind page {done}", ctx.attempt());
    for page in done + 1..=task.pages {
        clock
            .sleep_until(clock.monotonic() + Duration::from_millis(20))
            .await; // the work
        ctx.save_checkpoint(&page).await?; // on disk when this returns
        println!("page {page}");
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if let Some(path) = std::env::args().nth(1) {
        return work(Path::new(&path)).await;
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tasks.db");
    let client = Client::new(SqliteStore::open(&path)?);
    let id = client.enqueue(Import { pages: PAGES }).await?.id;

    let (first, _) = watch(&path, Some(PAGES / 2))?;
    println!("-- killed after {} pages", first.len() - 1);
    let (second, status) = watch(&path, None)?;
    ensure!(status.success(), "the second worker failed: {status}");

    let detail = client.get(id).await?.context("the task is kept")?;
    ensure!(
        detail.task.state == TaskState::Succeeded,
        "it is {}",
        detail.task.state
    );
    let twice = second.iter().filter(|line| first[1..].contains(line)).count();
    println!(
        "-- done in {} attempts; {twice} page(s) done twice",
        detail.task.attempt
    );
    ensure!(
        twice <= 1,
        "only the page whose checkpoint was under way may come twice"
    );
    Ok(())
}

/// The worker process: until nothing is due.
async fn work(path: &Path) -> anyhow::Result<()> {
    let client = Client::new(SqliteStore::open(path)?);
    let worker = Worker::builder(&client).handler(import).build()?;
    worker.tick(Duration::from_secs(30)).await?;
    Ok(())
}

/// Runs a worker process and shows what it says; kills it when it has said so many pages.
fn watch(path: &Path, kill_after: Option<u32>) -> anyhow::Result<(Vec<String>, ExitStatus)> {
    let program = std::env::current_exe()?;
    let mut child: Child = Command::new(program).arg(path).stdout(Stdio::piped()).spawn()?;
    let said = child.stdout.take().context("its output is piped")?;
    let last = kill_after.map(|page| format!("page {page}"));
    let mut lines = Vec::new();
    for line in BufReader::new(said).lines() {
        let line = line?;
        println!("   {line}");
        let dies = last.as_ref() == Some(&line);
        lines.push(line);
        if dies {
            child.kill()?;
            break;
        }
    }
    Ok((lines, child.wait()?))
}

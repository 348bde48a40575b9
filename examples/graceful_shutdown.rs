//! Ctrl-C or SIGTERM: the worker claims nothing more, lets handlers end within the grace, tells the others to stop, and hands
//! their tasks back after they have ended. Nothing is lost, and no attempt is counted.
//!
//! ```sh
//! cargo run --example graceful_shutdown
//! ```
//!
//! On Unix the program sends itself a SIGTERM, as a supervisor would; elsewhere press Ctrl-C.
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use task_retry::clock::{Clock as _, SystemClock};
use task_retry::sqlite::SqliteStore;
use task_retry::{Client, Ctx, Outcome, State, TaskId, TaskPayload, TaskState, Worker};
use tokio::sync::mpsc;

/// Ends soon, within the grace.
#[derive(Serialize, Deserialize)]
struct Mail;

impl TaskPayload for Mail {
    const KIND: &'static str = "mail";
}

/// Takes far longer than anybody waits for, and so listens.
#[derive(Serialize, Deserialize)]
struct Report;

impl TaskPayload for Report {
    const KIND: &'static str = "report";
}

/// Tells that a handler has begun.
type Begun = mpsc::UnboundedSender<&'static str>;

async fn mail(_: Mail, State(begun): State<Begun>) -> anyhow::Result<()> {
    begun.send("mail")?;
    pause(Duration::from_millis(300)).await;
    println!("mail: sent");
    Ok(())
}

async fn report(_: Report, ctx: Ctx, State(begun): State<Begun>) -> anyhow::Result<Outcome> {
    let mut rows: u32 = ctx.checkpoint()?.unwrap_or(0);
    println!("report: begins behind row {rows}");
    begun.send("report")?;
    while rows < 1_000_000 {
        if ctx.is_cancelled() {
            println!("report: told to stop after row {rows}");
            // Due at once, for whoever runs next; the attempt does not count.
            return Ok(Outcome::continue_after(&rows, Duration::ZERO)?);
        }
        pause(Duration::from_millis(5)).await;
        rows += 1;
    }
    Ok(Outcome::Done)
}

async fn pause(span: Duration) {
    let clock = SystemClock::new();
    clock.sleep_until(clock.monotonic() + span).await;
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let client = Client::new(SqliteStore::open(folder.path().join("tasks.db"))?);
    let sent = client.enqueue(Mail).await?.id;
    let reported = client.enqueue(Report).await?.id;

    let (begun, mut begins): (Begun, _) = mpsc::unbounded_channel();
    let worker = Worker::builder(&client)
        .handler(mail)
        .handler(report)
        .state(begun)
        .shutdown_grace(Duration::from_secs(1)) // for those that end by themselves
        .cancel_grace(Duration::from_secs(1)) // for those that are told to
        .build()?;
    let running = worker.start();
    let signal = stop_signal()?;
    begins.recv().await.context("the first handler begins")?;
    begins.recv().await.context("the second handler begins")?;
    supervisor_stops_us()?;
    signal.await;
    println!("-- a signal: {} handlers run", running.running());
    running.shutdown().await;

    let mail = task(&client, sent).await?;
    let report = task(&client, reported).await?;
    println!("-- stopped; the mail has {mail:?}, the report is {report:?}");
    ensure!(mail == (TaskState::Succeeded, 1), "the mail is {mail:?}");
    ensure!(report == (TaskState::Pending, 0), "the report is {report:?}");
    ensure!(client.sessions().await?.is_empty(), "the session is closed");
    Ok(())
}

/// State and counted attempts.
async fn task(client: &Client<SqliteStore>, id: TaskId) -> anyhow::Result<(TaskState, u32)> {
    let task = client.get(id).await?.context("the task is kept")?.task;
    Ok((task.state, task.attempt))
}

/// Ends at the first Ctrl-C or SIGTERM. It listens from now on.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        println!("-- press Ctrl-C");
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// What `systemd`, `docker stop` or Kubernetes do.
#[cfg(unix)]
fn supervisor_stops_us() -> anyhow::Result<()> {
    let me = std::process::id().to_string();
    let status = std::process::Command::new("kill").args(["-TERM", &me]).status()?;
    ensure!(status.success(), "kill: {status}");
    Ok(())
}

#[cfg(not(unix))]
fn supervisor_stops_us() -> anyhow::Result<()> {
    Ok(())
}

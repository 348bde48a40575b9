//! The shortest honest program: a task on disk, a handler that fails at first, a worker that tries again.
//!
//! ```sh
//! cargo run --example quickstart
//! ```
#![expect(
    clippy::print_stdout,
    reason = "a program for the command line shows its result there"
)]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use task_retry::sqlite::SqliteStore;
use task_retry::{Backoff, Client, Ctx, RetryPolicy, TaskOptions, TaskPayload, Worker};

#[derive(Serialize, Deserialize)]
struct Welcome {
    email: String,
}

impl TaskPayload for Welcome {
    const KIND: &'static str = "welcome";

    fn options() -> TaskOptions {
        // The default waits a second and longer; a demonstration need not.
        let retry = RetryPolicy::builder().backoff(Backoff::fixed(Duration::ZERO));
        TaskOptions::new().retry(retry.build().unwrap_or_default())
    }
}

async fn welcome(task: Welcome, ctx: Ctx) -> anyhow::Result<()> {
    if ctx.attempt() < 3 {
        println!("attempt {}: the mail server is busy", ctx.attempt());
        anyhow::bail!("the mail server is busy");
    }
    println!("attempt {}: welcome, {}", ctx.attempt(), task.email);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?; // yours would be a path that stays
    let client = Client::new(SqliteStore::open(folder.path().join("tasks.db"))?);

    let email = "ada@example.com".to_owned();
    let enqueued = client.enqueue(Welcome { email }).await?;
    println!("enqueued {}: it is on disk now", enqueued.id);

    let worker = Worker::builder(&client).handler(welcome).build()?;
    worker.tick(Duration::from_secs(10)).await?; // a service would call `.start()` and go on
    let task = client.get(enqueued.id).await?;
    let state = task.map(|detail| detail.task.state.to_string());
    println!("the task has {}", state.unwrap_or_default());
    Ok(())
}

//! The workers: processes of this program, one of which is killed half-way.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use task_retry::{Client, Worker};

use crate::report;

/// Attempts that a worker runs at once.
const CONCURRENCY: usize = 3;
/// Short, so that the work of the one that is killed is soon taken over also where its death is not seen.
const LEASE: Duration = Duration::from_secs(3);

/// Works until its standard input ends: with the program that started it, however that ends.
pub(crate) async fn work(client: &Client, name: &str) -> anyhow::Result<()> {
    let worker = Worker::builder(client)
        .name(name)
        .batch(report::batch())
        .concurrency(CONCURRENCY)
        .prefetch(0)
        .lease(LEASE)
        .build()?
        .start();
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    worker.shutdown().await;
    Ok(())
}

/// The worker processes.
pub(crate) struct Crew(Vec<Child>);

impl Crew {
    pub(crate) fn start(workers: u8, store: &str, folder: &Path) -> anyhow::Result<Self> {
        let mut crew = Self(Vec::new());
        for number in 1..=workers {
            let child = Command::new(std::env::current_exe()?)
                .args(["--store", store, "--work-as", &format!("worker-{number}")])
                .current_dir(folder)
                .stdin(Stdio::piped())
                .spawn()
                .context("cannot start a worker")?;
            crew.0.push(child);
        }
        Ok(crew)
    }

    /// `kill -9` of the first.
    pub(crate) fn kill_one(&mut self) -> anyhow::Result<u32> {
        ensure!(self.0.len() > 1, "nobody would be left");
        let mut first = self.0.remove(0);
        let killed = first.kill();
        first.wait()?;
        killed?;
        Ok(first.id())
    }

    /// Ends those that are left, each when its attempts have ended.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        for child in &mut self.0 {
            drop(child.stdin.take());
        }
        for child in &mut self.0 {
            let status = child.wait()?;
            ensure!(status.success(), "a worker ended with {status}");
        }
        Ok(())
    }

    /// Whether one ended by itself.
    pub(crate) fn lost_one(&mut self) -> anyhow::Result<bool> {
        for child in &mut self.0 {
            if child.try_wait()?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

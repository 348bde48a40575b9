//! One writer thread that commits whatever has gathered, claims and settles in the same transactions.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Toy;
use crate::clock::Stopwatch;
use crate::full::BATCH;

/// Jobs that one transaction inserts at most, as in the real client.
const MAX_GROUP: usize = 256;

/// How long a group waits for as many jobs as the last one had: the producers that were just answered come right back, and
/// without this every other group would have one job.
const FILL: Duration = Duration::from_micros(50);

struct Request {
    payload: String,
    reply: oneshot::Sender<()>,
}

/// A handle to the writer.
#[derive(Clone)]
pub(super) struct Writer(Sender<Request>);

impl Writer {
    /// Starts the thread; it ends when the last handle is dropped and, if it `processes`, all jobs are settled.
    pub(super) fn start(toy: Box<dyn Toy>, processes: bool) -> (Self, JoinHandle<Result<usize>>) {
        let (sender, receiver) = channel();
        let limit = if processes { BATCH } else { 0 };
        let runtime = Handle::current();
        let write = move || runtime.block_on(write(toy, &receiver, limit));
        (Self(sender), std::thread::spawn(write))
    }

    /// Inserts one job; returns when it is durable.
    pub(super) async fn insert(&self, payload: String) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(Request { payload, reply });
        sent.ok().context("the writer went away")?;
        answer.await.context("the writer went away")
    }
}

/// Answers how many jobs were settled.
async fn write(mut toy: Box<dyn Toy>, requests: &Receiver<Request>, limit: usize) -> Result<usize> {
    let (mut settled, mut answered, mut held) = (0, 0, Vec::new());
    loop {
        let mut group = gather(requests, answered);
        if group.is_empty() && held.is_empty() {
            let Ok(first) = requests.recv() else {
                return Ok(settled);
            };
            group.push(first);
        }
        settled += held.len();
        let payloads: Vec<&str> = group.iter().map(|request| request.payload.as_str()).collect();
        held = toy.turn(&payloads, &held, limit).await?;
        answered = group.len();
        for request in group {
            ensure!(request.reply.send(()).is_ok(), "a producer went away");
        }
    }
}

fn gather(requests: &Receiver<Request>, wanted: usize) -> Vec<Request> {
    let (mut group, watch) = (Vec::with_capacity(wanted), Stopwatch::start());
    loop {
        group.extend(requests.try_iter().take(MAX_GROUP - group.len()));
        if group.len() >= wanted || watch.elapsed() >= FILL {
            return group;
        }
        std::thread::yield_now();
    }
}

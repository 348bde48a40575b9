//! One writer thread that commits whatever has gathered, claims and settles in the same transactions.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, ensure};
use tokio::sync::oneshot;

use super::sqlite::Toy;
use crate::full::BATCH;

/// Jobs that one transaction inserts at most, as in the real client.
const MAX_GROUP: usize = 256;

struct Request {
    payload: String,
    reply: oneshot::Sender<()>,
}

/// A handle to the writer.
#[derive(Clone)]
pub(super) struct Writer(Sender<Request>);

impl Writer {
    /// Starts the thread; it ends when the last handle is dropped and, if it `processes`, all jobs are settled.
    pub(super) fn start(toy: Toy, processes: bool) -> (Self, JoinHandle<Result<usize>>) {
        let (sender, receiver) = channel();
        let limit = if processes { BATCH } else { 0 };
        (
            Self(sender),
            std::thread::spawn(move || write(toy, &receiver, limit)),
        )
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
fn write(mut toy: Toy, requests: &Receiver<Request>, limit: usize) -> Result<usize> {
    let (mut settled, mut held) = (0, Vec::new());
    loop {
        let mut group: Vec<Request> = requests.try_iter().take(MAX_GROUP).collect();
        if group.is_empty() && held.is_empty() {
            let Ok(first) = requests.recv() else {
                return Ok(settled);
            };
            group.push(first);
            group.extend(requests.try_iter().take(MAX_GROUP - 1));
        }
        settled += held.len();
        held = toy.turn(group.iter().map(|request| request.payload.as_str()), &held, limit)?;
        for request in group {
            ensure!(request.reply.send(()).is_ok(), "a producer went away");
        }
    }
}

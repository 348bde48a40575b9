//! Hints from other processes: published by the scripts, received on a connection of their own. A lost one costs one poll.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use redis::{Client, Msg, RedisResult};
use retry_core::clock::Clock;
use retry_core::name::Queue;
use retry_core::store::Waker;
use tokio::task::JoinHandle;

use crate::config::Config;

/// The first and the longest wait before the connection is set up again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How often a silent connection is tried: a half-open one is noticed when something is sent on it.
const PING: Duration = Duration::from_secs(30);

/// The task that listens; it ends with this.
#[derive(Debug)]
pub(crate) struct Watcher {
    task: JoinHandle<()>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watcher {
    /// Listens on `channel`; none outside a runtime, where nobody could wait either.
    pub(crate) fn start(config: &Config, channel: &str, waker: &Arc<Waker>) -> Option<Self> {
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        // Every node of a cluster passes on what is published on any.
        let clients = config.nodes.iter().filter_map(|node| config.tls.open(node).ok());
        let listener = Listener {
            clients: clients.collect(),
            channel: channel.to_owned(),
            waker: Arc::clone(waker),
            clock: Arc::clone(&config.clock),
        };
        let task = runtime.spawn(listener.run());
        Some(Self { task })
    }
}

struct Listener {
    clients: Vec<Client>,
    channel: String,
    waker: Arc<Waker>,
    clock: Arc<dyn Clock>,
}

impl Listener {
    async fn run(self) {
        let (mut wait, mut missed) = (BACKOFF.0, false);
        for client in self.clients.iter().cycle() {
            let mut heard = false;
            if let Err(error) = self.listen(client, missed, &mut heard).await {
                tracing::debug!(%error, "no hints for now; workers poll");
            }
            missed = true;
            wait = if heard {
                BACKOFF.0
            } else {
                (wait * 2).min(BACKOFF.1)
            };
            self.clock.sleep_until(self.clock.monotonic() + wait).await;
        }
    }

    /// Passes hints on until the connection ends. After an outage, in which hints were `missed`, everybody is woken once.
    async fn listen(&self, client: &Client, missed: bool, heard: &mut bool) -> RedisResult<()> {
        let mut connection = client.get_async_pubsub().await?;
        connection.subscribe(&self.channel).await?;
        *heard = true;
        if missed {
            self.waker.wake_all();
        }
        let (mut sink, mut messages) = connection.split();
        loop {
            let ping = self.clock.sleep_until(self.clock.monotonic() + PING);
            match select(messages.next(), ping).await {
                Either::Left((Some(message), _)) => self.pass_on(&message),
                Either::Left((None, _)) => return Ok(()),
                Either::Right(_) => sink.ping::<redis::Value>().await.map(drop)?,
            }
        }
    }

    fn pass_on(&self, message: &Msg) {
        let name = std::str::from_utf8(message.get_payload_bytes()).ok();
        match name.and_then(|name| Queue::new(name).ok()) {
            Some(queue) => self.waker.wake(&queue),
            None => self.waker.wake_all(),
        }
    }
}

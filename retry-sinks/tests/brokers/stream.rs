//! A stream of messages through a relay while something happens to the broker, and what the receiver must have seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use retry_core::client::Client;
use retry_core::store::{MemoryStore, Page, TaskFilter, TaskStore as _};
use retry_core::task::State;
use retry_sinks::{Answer, Message, MessageSink, Outgoing, Relay, RelayHandle, SinkQueue};
use tokio::sync::watch;

const KEYS: u32 = 7;

/// What a receiver can tell of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) key: Option<String>,
    pub(crate) header: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Tells how many messages were acknowledged and how many attempts failed.
struct Watched {
    inner: Box<dyn MessageSink>,
    acked: watch::Sender<u64>,
    failed: watch::Sender<Failures>,
}

/// How many attempts have failed, and why the last one did.
type Failures = (u64, String);

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl MessageSink for Watched {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        let answers = self.inner.publish(messages).await;
        let count =
            |wanted: fn(&Answer) -> bool| answers.iter().filter(|answer| wanted(answer)).count() as u64;
        let (acked, failed) = (
            count(|answer| *answer == Answer::Acked),
            count(|answer| matches!(answer, Answer::Retry(_))),
        );
        self.acked.send_modify(|sum| *sum += acked);
        let mut reasons = answers.iter().filter_map(|answer| match answer {
            Answer::Retry(reason) => Some(reason.to_string()),
            _ => None,
        });
        if let Some(last) = reasons.next_back() {
            self.failed.send_modify(|(sum, why)| {
                *sum += failed;
                *why = last;
            });
        }
        answers
    }

    fn max_wave(&self) -> usize {
        self.inner.max_wave()
    }

    fn takes_runs(&self) -> bool {
        self.inner.takes_runs()
    }
}

/// A relay from a store in memory to a sink, and the messages that were enqueued.
pub(crate) struct Stream {
    client: Client<MemoryStore>,
    store: MemoryStore,
    queue: SinkQueue,
    relay: RelayHandle,
    acked: watch::Receiver<u64>,
    failed: watch::Receiver<Failures>,
    enqueued: u32,
}

impl Stream {
    pub(crate) async fn to(sink: impl MessageSink, topic: &str) -> Self {
        let store = MemoryStore::new();
        let client = Client::new(store.clone());
        let queue = SinkQueue::new("events").unwrap().partitions(4).unwrap();
        let queue = queue.default_topic(topic).unwrap();
        let (acked, failed) = (watch::Sender::new(0), watch::Sender::default());
        let (acks, failures) = (acked.subscribe(), failed.subscribe());
        let inner = Box::new(sink);
        let relay = Relay::builder(&client, queue.clone(), Watched { inner, acked, failed });
        let relay = relay.build().unwrap().start().await.unwrap();
        Self {
            client,
            store,
            queue,
            relay,
            acked: acks,
            failed: failures,
            enqueued: 0,
        }
    }

    /// Enqueues messages with numbers as bodies, one in ten without key.
    pub(crate) async fn enqueue(&mut self, messages: u32) {
        let mut drafts = Vec::new();
        for n in self.enqueued..self.enqueued + messages {
            let mut message = Message::bytes(n.to_string()).header("colour", "grün");
            if n % 10 != 0 {
                message = message.key(format!("key-{}", n % KEYS));
            }
            drafts.push(self.queue.draft(message).unwrap());
        }
        self.client.enqueue_many(drafts).await.unwrap();
        self.enqueued += messages;
    }

    /// Enqueues so many times as many messages, each time when an attempt has ended since the last.
    async fn enqueue_at_their_pace(&mut self, times: u32, messages: u32) {
        for _ in 0..times {
            self.enqueue(messages).await;
            let (mut acked, mut failed) = (self.acked.clone(), self.failed.clone());
            tokio::select! {
                changed = acked.changed() => changed.unwrap(),
                changed = failed.changed() => changed.unwrap(),
            }
        }
    }

    /// Ends when so many were acknowledged.
    pub(crate) async fn acked(&mut self, messages: u64) {
        self.acked.wait_for(|sum| *sum >= messages).await.unwrap();
    }

    /// Ends when further attempts have failed; why the last one did.
    pub(crate) async fn fails(&mut self) -> String {
        let before = self.failed.borrow().0;
        let failed = self.failed.wait_for(|(sum, _)| *sum > before).await;
        failed.unwrap().1.clone()
    }

    /// Ends when everything was acknowledged and settled.
    pub(crate) async fn finish(mut self) {
        self.acked(self.enqueued.into()).await;
        self.relay.shutdown().await;
        let kind = retry_core::name::Kind::new("events/message").unwrap();
        let filter = TaskFilter {
            kinds: vec![kind],
            ..TaskFilter::default()
        };
        let listed = self.store.list(&filter, &Page::first(1_000)).await.unwrap();
        assert_eq!(listed.tasks.len(), usize::try_from(self.enqueued).unwrap());
        let open = listed.tasks.iter().find(|row| row.task.state != State::Succeeded);
        assert!(open.is_none(), "{open:?}");
    }

    pub(crate) const fn enqueued(&self) -> u32 {
        self.enqueued
    }
}

/// Checks what the receiver got: all of it, in order per key, after it dropped what it knew.
pub(crate) fn judge(received: &[Received], enqueued: u32) {
    let mut known = BTreeSet::new();
    let mut keys: BTreeMap<Option<String>, Vec<u32>> = BTreeMap::new();
    for message in received {
        assert_eq!(message.header.as_deref(), Some("grün"));
        if known.insert(message.id.clone()) {
            let n = std::str::from_utf8(&message.body).unwrap().parse().unwrap();
            keys.entry(message.key.clone()).or_default().push(n);
        }
    }
    let mut all: Vec<u32> = keys.values().flatten().copied().collect();
    all.sort_unstable();
    assert_eq!(
        all,
        (0..enqueued).collect::<Vec<_>>(),
        "nothing is lost, nothing is made up"
    );
    for (key, numbers) in keys.iter().filter(|(key, _)| key.is_some()) {
        assert!(numbers.is_sorted(), "{key:?}: {numbers:?}");
    }
}

/// Runs what blocks beside the runtime.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Kills a broker in the middle of a stream, two times: once while messages are on their way, once with its outage noticed.
pub(crate) async fn with_kills(mut stream: Stream, server: &Arc<test_servers::Server>) -> u32 {
    let restarted = |server: &Arc<test_servers::Server>| {
        let server = Arc::clone(server);
        blocking(move || server.restart().expect("it comes back"))
    };
    stream.enqueue(100).await;
    stream.acked(40).await;
    // Messages come at the pace of their attempts, failed ones too, all the while.
    tokio::join!(restarted(server), stream.enqueue_at_their_pace(60, 5));
    stream.acked(200).await;
    let killed = Arc::clone(server);
    blocking(move || killed.kill()).await;
    stream.enqueue(50).await;
    stream.fails().await;
    restarted(server).await;
    stream.enqueue(50).await;
    let enqueued = stream.enqueued();
    stream.finish().await;
    enqueued
}

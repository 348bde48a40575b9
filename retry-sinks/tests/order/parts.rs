//! A relay on a store of two parts, one of which does not answer when it starts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use retry_core::client::Client;
use retry_core::clock::ManualClock;
use retry_core::seams::SeededRandom;
use retry_core::sharded::ShardedStore;
use retry_core::store::{MemoryStore, TaskStore};
use retry_sinks::{Answer, Message, MessageSink, Outgoing, Relay, RelayHandle, SinkQueue, StartError};

use crate::exec::{Exec, OnHost, lock};
use crate::owners::owners;
use crate::store::Link;
use crate::takeover::{pass, queue};

/// Takes everything and keeps a log.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl MessageSink for Log {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        let text = |message: &Outgoing| String::from_utf8(message.body.to_vec()).unwrap();
        lock(&self.0).extend(messages.iter().map(text));
        vec![Answer::Acked; messages.len()]
    }
}

struct Two {
    exec: Exec,
    clock: ManualClock,
    memories: [MemoryStore; 2],
    /// The relay's ways to the parts.
    links: [Link; 2],
    log: Log,
    started: Arc<Mutex<Option<Result<RelayHandle, StartError>>>>,
}

fn sharded(parts: [impl TaskStore; 2], clock: &ManualClock) -> ShardedStore {
    let [east, west] = parts.map(Arc::new);
    let builder = ShardedStore::builder().part("east", east).part("west", west);
    builder.clock(Arc::new(clock.clone())).build().unwrap()
}

impl Two {
    fn new() -> Self {
        let (exec, clock) = (Exec::new(7), ManualClock::new());
        let memories = [(); 2].map(|()| MemoryStore::with_clock(Arc::new(clock.clone())));
        let link = |memory: &MemoryStore| Link::new(memory.clone(), clock.clone(), exec.clone(), 1);
        Self {
            links: memories.each_ref().map(link),
            exec,
            clock,
            memories,
            log: Log::default(),
            started: Arc::default(),
        }
    }

    fn relay(&self, store: impl TaskStore, queue: SinkQueue) -> Relay {
        let relay = Relay::builder(Arc::new(store), queue, self.log.clone())
            .clock(Arc::new(self.clock.clone()))
            .random(Arc::new(SeededRandom::new(3)))
            .spawn(Arc::new(OnHost(self.exec.clone(), 0)));
        relay.build().unwrap()
    }

    fn start(&self) {
        let relay = self.relay(sharded(self.links.clone(), &self.clock), queue());
        let started = Arc::clone(&self.started);
        let start = async move { *lock(&started) = Some(relay.start().await) };
        self.exec.spawn(0, Box::pin(start));
    }

    /// Enqueues a message of which its part is the text.
    fn enqueue(&self, part: &str) {
        let store = sharded(self.memories.clone(), &self.clock);
        let of = |key: String| queue().draft(Message::text(part).key(key)).unwrap();
        let mut drafts = (0..).map(|n| of(format!("k{n}")));
        let draft = drafts
            .find(|draft| store.part_name(draft.shard().unwrap()) == part)
            .unwrap();
        let client = Client::builder(store)
            .clock(Arc::new(self.clock.clone()))
            .random(Arc::new(SeededRandom::new(5)))
            .spawn(Arc::new(OnHost(self.exec.clone(), 9)))
            .build();
        let sent = async move { assert!(client.enqueue(draft).await.unwrap().is_new()) };
        self.exec.spawn(9, Box::pin(sent));
    }

    fn pass(&self, seconds: u64) {
        pass(&self.exec, &self.clock, Duration::from_secs(seconds));
    }

    fn missing(&self) -> Vec<usize> {
        match &*lock(&self.started) {
            Some(Ok(handle)) => handle.missing_parts(),
            other => panic!("{other:?}"),
        }
    }

    fn delivered(&self) -> Vec<String> {
        lock(&self.log.0).clone()
    }
}

#[test]
fn a_part_that_does_not_answer_is_served_as_soon_as_it_does() {
    for hangs in [false, true] {
        let two = Two::new();
        two.links[1].fail(1_000);
        two.links[1].fall_silent(hangs);
        two.enqueue("east");
        two.enqueue("west");
        two.start();
        two.pass(10);
        assert_eq!(
            (two.missing(), two.delivered()),
            (vec![1], vec!["east".to_owned()])
        );
        two.pass(120);
        assert_eq!((two.missing(), two.delivered().len()), (vec![1], 1));
        two.links[1].fail(0);
        two.links[1].fall_silent(false);
        two.pass(15);
        assert_eq!(
            (two.missing(), two.delivered()),
            (vec![], vec!["east".to_owned(), "west".to_owned()])
        );
        // And the other one, when it has been served before: its worker waits for it.
        two.links[0].fail(1_000);
        two.pass(120);
        two.links[0].fail(0);
        two.enqueue("east");
        two.pass(60);
        assert_eq!(two.delivered().len(), 3);
        assert!(two.missing().is_empty());
    }
}

#[test]
fn a_stopped_relay_starts_on_no_part_that_comes_back() {
    let two = Two::new();
    two.links[1].fall_silent(true);
    two.start();
    two.pass(10);
    let handle = lock(&two.started).take().unwrap().unwrap();
    two.exec.spawn(0, Box::pin(handle.shutdown()));
    two.pass(10);
    two.links[1].fall_silent(false);
    two.enqueue("west");
    two.pass(60);
    assert!(two.delivered().is_empty());
    assert!(owners(&two.memories[1]).is_empty());
}

#[test]
fn a_late_part_with_another_number_of_partitions_is_left_alone() {
    let two = Two::new();
    let other = two.relay(two.memories[1].clone(), queue().partitions(4).unwrap());
    let made = async move { drop(other.start().await.unwrap()) };
    two.exec.spawn(0, Box::pin(made));
    two.pass(1);
    let before = owners(&two.memories[1]).len();
    two.links[1].fall_silent(true);
    two.start();
    two.pass(10);
    two.links[1].fall_silent(false);
    two.pass(120);
    assert_eq!(
        (two.missing(), owners(&two.memories[1]).len(), before),
        (vec![1], 4, 4)
    );
}

#[test]
fn a_relay_of_which_no_part_answers_does_not_start() {
    let two = Two::new();
    for link in &two.links {
        link.fall_silent(true);
    }
    two.start();
    two.pass(10);
    let started = lock(&two.started).take();
    assert!(matches!(started, Some(Err(StartError::Store(_)))), "{started:?}");
}

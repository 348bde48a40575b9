//! Relays on a sharded store of which one part goes away in the middle and comes back: it stops its own keys alone, their order
//! holds, and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use retry_core::client::Client;
use retry_core::clock::{Clock as _, ManualClock};
use retry_core::seams::{Random as _, SeededRandom};
use retry_core::sharded::ShardedStore;
use retry_core::store::{CountScope, MemoryStore, TaskStore as _};
use retry_core::task::State;
use retry_sinks::{Message, Relay, RelayHandle, SinkQueue};

use crate::broker::{Broker, Line};
use crate::exec::{Exec, OnHost, lock};
use crate::store::Link;
use crate::world::now;

const PARTS: [&str; 2] = ["east", "west"];
const RELAYS: usize = 2;
const CLIENT: usize = RELAYS;
/// Messages of a phase.
const SOME: u64 = 30;
/// Polls and moves of the clock within which a phase must come to its end.
const PATIENCE: usize = 400_000;
const SEEDS: u64 = 20;

struct Scene {
    exec: Exec,
    clock: ManualClock,
    random: SeededRandom,
    parts: [MemoryStore; 2],
    /// The ways of each relay to the parts.
    links: Vec<[Link; 2]>,
    broker: Broker,
    client: Client<ShardedStore>,
    /// What was enqueued of each key.
    enqueued: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    handles: Arc<Mutex<Vec<RelayHandle>>>,
    next: u64,
}

fn queue() -> SinkQueue {
    SinkQueue::new("events").unwrap().partitions(2).unwrap()
}

fn whole(clock: &ManualClock, [east, west]: [impl retry_core::engine::IntoStore; 2]) -> ShardedStore {
    let store = ShardedStore::builder().part(PARTS[0], east).part(PARTS[1], west);
    store.clock(Arc::new(clock.clone())).build().unwrap()
}

impl Scene {
    fn new(seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        let (clock, exec) = (ManualClock::new(), Exec::new(random.next_u64()));
        let parts = PARTS.map(|_| MemoryStore::with_clock(Arc::new(clock.clone())));
        let client = Client::builder(whole(&clock, parts.clone()))
            .clock(Arc::new(clock.clone()))
            .random(Arc::new(SeededRandom::new(random.next_u64())))
            .spawn(Arc::new(OnHost(exec.clone(), CLIENT)))
            .build();
        let mut scene = Self {
            exec,
            clock,
            random,
            parts,
            links: Vec::new(),
            broker: Broker::default(),
            client,
            enqueued: Arc::default(),
            handles: Arc::default(),
            next: 0,
        };
        (0..RELAYS).for_each(|host| scene.start(host));
        scene
    }

    fn start(&mut self, host: usize) {
        let (clock, exec) = (&self.clock, &self.exec);
        let link = |part: &MemoryStore| {
            let seed = self.random.next_u64();
            Link::new(part.clone(), clock.clone(), exec.clone(), seed)
        };
        let links = [link(&self.parts[0]), link(&self.parts[1])];
        let (seed, runs) = (self.random.next_u64(), self.random.next_u64().is_multiple_of(2));
        let line = Line::new(self.broker.clone(), exec.clone(), clock.clone(), seed, runs);
        line.fail(50);
        let relay = Relay::builder(whole(clock, links.clone()), queue(), line)
            .clock(Arc::new(clock.clone()))
            .random(Arc::new(SeededRandom::new(self.random.next_u64())))
            .spawn(Arc::new(OnHost(exec.clone(), host)))
            .lease(Duration::from_secs(3))
            .turn(Duration::from_secs(4))
            .idle_poll(Duration::from_secs(1))
            .publish_timeout(Duration::from_secs(2))
            .build()
            .unwrap();
        let handles = Arc::clone(&self.handles);
        let started = async move {
            let handle = relay.start().await.unwrap();
            lock(&handles).push(handle);
        };
        exec.spawn(host, Box::pin(started));
        self.links.push(links);
    }

    /// Of a thousand calls of a part by any relay so many fail.
    fn fail(&self, part: usize, of_thousand: u64) {
        self.links.iter().for_each(|links| links[part].fail(of_thousand));
    }

    /// Enqueues some messages, one after the other, with keys of these parts only.
    fn enqueue(&mut self, parts: &[&str]) {
        let all = (0..20).map(|n| format!("key-{n}"));
        let of_parts = |key: &String| parts.contains(&self.client.store().part_for_key(key));
        let keys: Vec<String> = all.filter(of_parts).collect();
        let (client, clock, enqueued) = (
            self.client.clone(),
            self.clock.clone(),
            Arc::clone(&self.enqueued),
        );
        let (random, first) = (SeededRandom::new(self.random.next_u64()), self.next);
        self.next += SOME;
        let sending = async move {
            for n in first..first + SOME {
                let at = usize::try_from(random.next_u64() % keys.len() as u64).unwrap();
                let (key, body) = (keys[at].clone(), n.to_string());
                lock(&enqueued).entry(key.clone()).or_default().push(body.clone());
                let draft = queue().draft(Message::text(body).key(key)).unwrap();
                client.enqueue(draft).await.unwrap();
                let pause = Duration::from_millis(random.next_u64() % 200);
                clock.sleep_until(clock.monotonic() + pause).await;
            }
        };
        self.exec.spawn(CLIENT, Box::pin(sending));
    }

    /// Lives on until it is so.
    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for round in 0..PATIENCE {
            if round % 100 == 0 && is_so(self) {
                return;
            }
            if !self.exec.turn() && !self.clock.advance_to_next() {
                break;
            }
        }
        assert!(is_so(self), "{what}");
    }

    fn live_for(&self, span: Duration) {
        let over = self.clock.monotonic() + span;
        self.until("time passes", |scene| scene.clock.monotonic() >= over);
    }

    /// Tasks of messages that a part keeps, by whether they have ended well.
    fn messages(&self, part: usize) -> (u64, u64) {
        let scope = CountScope {
            exact: true,
            ..CountScope::default()
        };
        let counts = now(self.parts[part].count(&scope)).counts;
        let messages = counts.into_iter().filter(|((queue, _), _)| {
            queue.as_str().starts_with("events/") && queue.as_str() != "events/owners"
        });
        messages.fold((0, 0), |(all, ended), ((_, state), count)| {
            let succeeded = if state == State::Succeeded { count.get() } else { 0 };
            (all + count.get(), ended + succeeded)
        })
    }

    /// First deliveries of each key, in their order.
    fn delivered(&self) -> BTreeMap<String, Vec<String>> {
        let mut known = BTreeSet::new();
        let mut first: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for message in lock(&self.broker.0).iter() {
            if known.insert(message.id) {
                let body = String::from_utf8(message.body.to_vec()).unwrap();
                first.entry(message.key.clone().unwrap()).or_default().push(body);
            }
        }
        first
    }

    fn all_of(&self, part: &str) -> bool {
        let (enqueued, delivered) = (lock(&self.enqueued), self.delivered());
        let mut of_part = enqueued
            .iter()
            .filter(|(key, _)| self.client.store().part_for_key(key) == part);
        of_part.all(|(key, bodies)| delivered.get(key) == Some(bodies))
    }

    fn sent(&self) -> u64 {
        lock(&self.enqueued)
            .values()
            .map(|bodies| bodies.len() as u64)
            .sum()
    }
}

/// Whether the outage kept anything from being delivered.
fn live(seed: u64) -> bool {
    let mut scene = Scene::new(seed);
    scene.until("both relays start", |scene| lock(&scene.handles).len() == RELAYS);
    scene.enqueue(&PARTS);
    let (early, outage) = (scene.random.next_u64() % 3_000, scene.random.next_u64() % 20_000);
    scene.live_for(Duration::from_millis(early));
    scene.fail(1, 1_000);
    // What was on its way when the part went may still arrive.
    scene.until("the first messages are enqueued", |scene| scene.sent() == SOME);
    scene.enqueue(&PARTS[..1]);
    scene.until("the east's keys flow", |scene| {
        scene.sent() == 2 * SOME && scene.all_of("east")
    });
    scene.live_for(Duration::from_millis(outage));
    let was_missed = !scene.all_of("west");
    scene.fail(1, 0);
    scene.enqueue(&PARTS);
    scene.until("everything is delivered and settled", |scene| {
        let ended = [scene.messages(0), scene.messages(1)];
        let (all, succeeded) = ended.iter().fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        scene.sent() == 3 * SOME && (all, succeeded) == (3 * SOME, 3 * SOME)
    });
    assert_eq!(scene.delivered(), *lock(&scene.enqueued), "seed {seed}");
    was_missed
}

#[test]
fn a_part_that_goes_away_and_comes_back_stops_its_own_keys_alone() {
    let missed = (0..SEEDS).filter(|seed| live(*seed)).count();
    // An outage behind which nothing waits shows nothing.
    assert!(missed > 5, "{missed}");
}

//! A world lived from a seed: relays on several hosts, a program that enqueues, faults; then everything heals, and what the
//! receiver got is compared with what was enqueued.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use retry_core::client::Client;
use retry_core::clock::{Clock as _, ManualClock};
use retry_core::seams::{Random as _, SeededRandom};
use retry_core::store::{MemoryStore, Page, TaskFilter, TaskStore as _};
use retry_core::task::State;
use retry_sinks::{Message, Relay, RelayHandle, SinkQueue};

use crate::broker::{Broker, Line, POISON};
use crate::exec::{Exec, Host, OnHost, lock};
use crate::store::Link;

const HOSTS: usize = 3;
const CLIENT: Host = HOSTS;
const KEYS: u64 = 5;
const MESSAGES: u64 = 60;
/// Polls within which the faulty part of a history ends.
const TROUBLE: usize = 12_000;
/// Polls and moves of the clock after which a healed world must have come to rest.
const PATIENCE: usize = 400_000;

/// What a history met.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) kills: usize,
    pub(crate) pauses: usize,
    pub(crate) shutdowns: usize,
    pub(crate) repeated: usize,
    pub(crate) owners: usize,
    pub(crate) refused: usize,
}

struct Relaying {
    link: Link,
    line: Line,
    handle: Arc<Mutex<Option<RelayHandle>>>,
    up: bool,
}

pub(crate) struct World {
    seed: u64,
    exec: Exec,
    clock: ManualClock,
    memory: MemoryStore,
    random: SeededRandom,
    broker: Broker,
    hosts: Vec<Relaying>,
    enqueued: Arc<Mutex<Vec<(String, String)>>>,
    seen: Seen,
}

fn queue() -> SinkQueue {
    SinkQueue::new("events").unwrap().partitions(2).unwrap()
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        let clock = ManualClock::new();
        let memory = MemoryStore::with_clock(Arc::new(clock.clone()));
        let exec = Exec::new(random.next_u64());
        let broker = Broker::default();
        let runs = random.next_u64().is_multiple_of(2);
        let hosts = (0..HOSTS)
            .map(|_| Relaying {
                link: Link::new(memory.clone(), clock.clone(), exec.clone(), random.next_u64()),
                line: Line::new(
                    broker.clone(),
                    exec.clone(),
                    clock.clone(),
                    random.next_u64(),
                    runs,
                ),
                handle: Arc::default(),
                up: false,
            })
            .collect();
        Self {
            seed,
            exec,
            clock,
            memory,
            random,
            broker,
            hosts,
            enqueued: Arc::default(),
            seen: Seen::default(),
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.random.next_u64() % below
    }

    fn start(&mut self, host: Host) {
        let (link, line) = (self.hosts[host].link.clone(), self.hosts[host].line.clone());
        let relay = Relay::builder(link, queue(), line)
            .clock(Arc::new(self.clock.clone()))
            .random(Arc::new(SeededRandom::new(self.random.next_u64())))
            .spawn(Arc::new(OnHost(self.exec.clone(), host)))
            .lease(Duration::from_secs(3))
            .turn(Duration::from_secs(4))
            .idle_poll(Duration::from_secs(1))
            .publish_timeout(Duration::from_secs(2))
            .build()
            .unwrap();
        let handle = Arc::default();
        self.hosts[host].handle = Arc::clone(&handle);
        self.hosts[host].up = true;
        let clock = self.clock.clone();
        self.exec.spawn(
            host,
            Box::pin(async move {
                loop {
                    if let Ok(started) = relay.clone().start().await {
                        *lock(&handle) = Some(started);
                        return;
                    }
                    clock
                        .sleep_until(clock.monotonic() + Duration::from_millis(300))
                        .await;
                }
            }),
        );
    }

    fn kill(&mut self, host: Host) {
        self.exec.kill(host);
        drop(lock(&self.hosts[host].handle).take());
        self.hosts[host].up = false;
        self.seen.kills += 1;
    }

    fn shut_down(&mut self, host: Host) {
        let Some(handle) = lock(&self.hosts[host].handle).take() else {
            return;
        };
        self.seen.shutdowns += 1;
        self.exec.spawn(host, Box::pin(handle.shutdown()));
        self.hosts[host].up = false;
    }

    /// Enqueues the messages of all keys, those of a key one after the other.
    fn enqueue(&self) {
        let client = Client::builder(self.memory.clone())
            .clock(Arc::new(self.clock.clone()))
            .random(Arc::new(SeededRandom::new(self.random.next_u64())))
            .spawn(Arc::new(OnHost(self.exec.clone(), CLIENT)))
            .build();
        let (clock, enqueued) = (self.clock.clone(), Arc::clone(&self.enqueued));
        let random = SeededRandom::new(self.random.next_u64());
        self.exec.spawn(
            CLIENT,
            Box::pin(async move {
                for n in 0..MESSAGES {
                    let key = format!("key-{}", random.next_u64() % KEYS);
                    let body = if random.next_u64().is_multiple_of(25) {
                        POISON.to_owned()
                    } else {
                        n.to_string()
                    };
                    let mut message = Message::text(body.clone());
                    if !random.next_u64().is_multiple_of(10) {
                        message = message.key(key.clone());
                        lock(&enqueued).push((key, body));
                    }
                    client.enqueue(queue().draft(message).unwrap()).await.unwrap();
                    if random.next_u64().is_multiple_of(3) {
                        let pause = Duration::from_millis(random.next_u64() % 500);
                        clock.sleep_until(clock.monotonic() + pause).await;
                    }
                }
            }),
        );
    }

    fn trouble(&mut self) {
        let host = usize::try_from(self.draw(HOSTS as u64)).unwrap();
        match self.draw(13) {
            0 if self.hosts[host].up => self.kill(host),
            1 if self.hosts[host].up => self.shut_down(host),
            2 => {
                self.exec.pause(host, true);
                self.seen.pauses += 1;
            }
            3 => self.exec.pause(host, false),
            4 | 5 => {
                self.exec.starve(host, true);
                self.seen.pauses += 1;
            }
            6 => self.exec.starve(host, false),
            7 => self.hosts[host]
                .link
                .fail([0, 50, 300, 1_000][usize::try_from(self.draw(4)).unwrap()]),
            8 => self.hosts[host]
                .line
                .fail([0, 100, 500, 1_000][usize::try_from(self.draw(4)).unwrap()]),
            9 | 10 if !self.hosts[host].up => {
                // What a graceful stop has left running dies with its process.
                self.kill(host);
                self.start(host);
            }
            _ => {
                self.hosts[host].link.fail(0);
                self.hosts[host].line.fail(0);
            }
        }
    }

    fn heal(&mut self) {
        for host in 0..HOSTS {
            self.exec.pause(host, false);
            self.exec.starve(host, false);
            self.hosts[host].link.fail(0);
            self.hosts[host].line.fail(0);
            if !self.hosts[host].up && host == 0 {
                self.kill(host);
                self.start(host);
            }
        }
    }

    /// Lives the history.
    pub(crate) fn live(mut self) -> Result<Seen, String> {
        for host in 0..HOSTS {
            self.start(host);
            let failing = self.draw(200);
            self.hosts[host].line.fail(failing);
            let failing = self.draw(60);
            self.hosts[host].link.fail(failing);
        }
        self.enqueue();
        let pace = 40 + self.draw(400);
        for _ in 0..TROUBLE {
            if self.draw(pace) == 0 {
                self.trouble();
            }
            if !self.exec.turn() {
                self.clock.advance_to_next();
            }
        }
        self.heal();
        for round in 0..PATIENCE {
            if !self.exec.turn() && !self.clock.advance_to_next() {
                break;
            }
            if round % 500 == 0 && self.is_done() {
                return self.judge();
            }
        }
        Err(format!(
            "seed {}: it did not come to rest: {:?}",
            self.seed,
            self.open()
        ))
    }

    fn open(&self) -> Vec<(State, String, u32)> {
        let filter = TaskFilter {
            kinds: vec![retry_core::name::Kind::new("events/message").unwrap()],
            states: vec![State::Pending, State::Running],
            ..TaskFilter::default()
        };
        let listed = now(self.memory.list(&filter, &Page::first(1_000)));
        let row = |task: retry_core::task::Task| (task.state, task.queue.as_str().to_owned(), task.attempt);
        listed
            .tasks
            .into_iter()
            .map(|summary| row(summary.task))
            .collect()
    }

    fn is_done(&self) -> bool {
        let all = TaskFilter {
            kinds: vec![retry_core::name::Kind::new("events/message").unwrap()],
            ..TaskFilter::default()
        };
        let listed = now(self.memory.list(&all, &Page::first(1_000)));
        listed.tasks.len() as u64 == MESSAGES && listed.tasks.iter().all(|row| row.task.state.is_final())
    }

    /// Nothing lost, the order per key, and what is refused never delivered.
    fn judge(mut self) -> Result<Seen, String> {
        let seed = self.seed;
        let log = lock(&self.broker.0).clone();
        let mut first: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let (mut known, mut fences) = (BTreeSet::new(), BTreeSet::new());
        for message in &log {
            if !known.insert(message.id) {
                self.seen.repeated += 1;
                continue;
            }
            if let Some(key) = &message.key {
                fences.insert((queue_of(key), message.fence));
                let body = String::from_utf8(message.body.to_vec()).unwrap();
                first.entry(key.clone()).or_default().push(body);
            }
        }
        self.seen.owners = fences.len();
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, body) in lock(&self.enqueued).iter() {
            if body == POISON {
                self.seen.refused += 1;
            } else {
                wanted.entry(key.clone()).or_default().push(body.clone());
            }
        }
        if first == wanted {
            return Ok(self.seen);
        }
        Err(format!(
            "seed {seed}: the receiver got\n{first:?}\ninstead of\n{wanted:?}"
        ))
    }
}

fn queue_of(key: &str) -> String {
    let task = queue().draft(Message::text("").key(key)).unwrap();
    format!("{task:?}")
        .split("Queue")
        .nth(1)
        .unwrap_or_default()
        .chars()
        .take(20)
        .collect()
}

/// The store in memory answers at once.
pub(crate) fn now<T>(future: impl Future<Output = retry_core::store::Result<T>>) -> T {
    futures_util::FutureExt::now_or_never(future)
        .expect("at once")
        .expect("no fault")
}

//! One of two databases is killed under work: the other's keys flow, and after its return nothing is missing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use task_retry::clock::{Clock as _, SystemClock};
use task_retry::postgres::PostgresStore;
use task_retry::sharded::{PartState, ShardedStore};
use task_retry::store::{CountScope, TaskStore as _};
use task_retry::task::State;
use task_retry::why::Reason;
use task_retry::{Client, Enqueued, HandlerError, TaskPayload, Worker};
use test_servers::{Kind, Server, own};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Tasks of each part in each phase.
const SOME: usize = 60;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long the living part may take for its tasks: a call that waited for the dead one would take longer.
const UNDISTURBED: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct Job {
    number: usize,
}

impl TaskPayload for Job {
    const KIND: &'static str = "job";
}

pub(crate) fn one_is_killed() {
    let servers = [own(Kind::Postgres), own(Kind::Postgres)];
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(killed(&servers));
}

/// What was handled, as it is told.
struct Handled {
    tell: UnboundedReceiver<usize>,
    seen: BTreeSet<usize>,
    clock: SystemClock,
}

impl Handled {
    async fn all(&mut self, wanted: &BTreeSet<usize>) {
        let over = self.clock.monotonic() + PATIENCE;
        while !self.seen.is_superset(wanted) {
            tokio::select! {
                number = self.tell.recv() => drop(self.seen.insert(number.expect("the handler lives"))),
                () = self.clock.sleep_until(over) => {
                    panic!("not handled: {:?}", wanted.difference(&self.seen).collect::<Vec<_>>())
                }
            }
        }
    }
}

/// Enqueues tasks of one part; which were acknowledged.
struct Sender {
    client: Client<ShardedStore>,
    keys: [String; 2],
    next: usize,
}

impl Sender {
    fn job(&mut self, part: usize) -> impl Future<Output = (usize, task_retry::Result<Enqueued>)> + use<> {
        let (client, key, number) = (self.client.clone(), self.keys[part].clone(), self.next);
        self.next += 1;
        async move {
            let job = client.enqueue(Job { number }).shard_key(key);
            (number, job.await)
        }
    }

    async fn some(&mut self, part: usize) -> Vec<usize> {
        let mut sent = Vec::new();
        for _ in 0..SOME {
            let (number, enqueued) = self.job(part).await;
            assert!(enqueued.expect("its part lives").is_new());
            sent.push(number);
        }
        sent
    }
}

async fn killed(servers: &[Server; 2]) {
    let store = over(servers).await;
    let (told, tell) = unbounded_channel();
    let mut two = Two::new(store, tell);
    let worker = worker(&two.sender.client, told).start();
    let live = [two.sender.some(0).await, two.sender.some(1).await].concat();
    two.wanted.extend(live);
    two.handled.all(&two.wanted).await;
    two.one_dies(&servers[1]).await;
    two.it_returns(&servers[1]).await;
    two.handled.all(&two.wanted).await;
    worker.shutdown().await;
    two.nothing_is_open().await;
}

async fn over(servers: &[Server; 2]) -> Arc<ShardedStore> {
    let mut builder = ShardedStore::builder();
    for (server, name) in servers.iter().zip(["east", "west"]) {
        let connected = PostgresStore::builder(&server.url()).connect().await;
        builder = builder.part(name, connected.expect("it connects"));
    }
    Arc::new(builder.build().expect("they are parts"))
}

/// Two databases, and what is known of their tasks.
struct Two {
    store: Arc<ShardedStore>,
    sender: Sender,
    handled: Handled,
    /// What was acknowledged.
    wanted: BTreeSet<usize>,
}

impl Two {
    fn new(store: Arc<ShardedStore>, tell: UnboundedReceiver<usize>) -> Self {
        let key = |part: &str| {
            let mut keys = (0..).map(|number| format!("customer-{number}"));
            keys.find(|key| store.part_for_key(key) == part)
                .expect("each part has keys")
        };
        let sender = Sender {
            client: Client::new(Arc::clone(&store)),
            keys: [key("east"), key("west")],
            next: 0,
        };
        let handled = Handled {
            tell,
            seen: BTreeSet::new(),
            clock: SystemClock::new(),
        };
        Self {
            store,
            sender,
            handled,
            wanted: BTreeSet::new(),
        }
    }

    /// The west is killed with work before it: the east's keys flow, and everybody says what is the matter.
    async fn one_dies(&mut self, west: &Server) {
        self.wanted.extend(self.sender.some(1).await);
        let (last, lost) = self.sender.job(1).await;
        let lost = lost.expect("its part lives").id;
        self.wanted.insert(last);
        west.kill();
        let refused = tokio::spawn(self.sender.job(1));
        let began = self.handled.clock.monotonic();
        let flows: BTreeSet<usize> = self.sender.some(0).await.into_iter().collect();
        self.handled.all(&flows).await;
        let took = self.handled.clock.monotonic().saturating_since(began);
        assert!(took < UNDISTURBED, "{took:?}");
        self.wanted.extend(flows);
        let (_, refused) = refused.await.expect("it does not panic");
        assert!(refused.is_err(), "{refused:?}");
        let why = self
            .sender
            .client
            .why(lost)
            .await
            .expect("an outage is an answer");
        assert!(
            matches!(why.reason, Reason::NoAnswer { part: Some(1), .. }),
            "{why}"
        );
        let health = self.store.health();
        assert_eq!(health[0].state, PartState::Closed, "{health:?}");
        assert!(health[1].failures > 0, "{health:?}");
        let counts = self.store.count(&CountScope::default()).await;
        assert_eq!(counts.expect("one part answers").missing_parts, [1]);
    }

    /// It takes tasks again by itself.
    async fn it_returns(&mut self, west: &Server) {
        west.restart().expect("it starts again");
        let clock = self.handled.clock.clone();
        let over = clock.monotonic() + PATIENCE;
        loop {
            let (number, enqueued) = self.sender.job(1).await;
            if enqueued.is_ok() {
                self.wanted.insert(number);
                break;
            }
            assert!(clock.monotonic() < over, "{enqueued:?}");
            // The part is left alone for a while: there is nothing else to wait for.
            clock
                .sleep_until(clock.monotonic() + Duration::from_millis(200))
                .await;
        }
        self.wanted.extend(self.sender.some(1).await);
    }

    /// Everything acknowledged has succeeded. Tasks of unknown outcome may be there as well.
    async fn nothing_is_open(&self) {
        let scope = CountScope {
            queue: None,
            exact: true,
        };
        let counts = self.store.count(&scope).await.expect("both answer");
        assert!(counts.missing_parts.is_empty());
        let succeeded = counts.of(State::Succeeded);
        assert!(succeeded >= self.wanted.len() as u64, "{counts:?}");
        let all: u64 = counts.counts.values().map(|count| count.get()).sum();
        assert_eq!(succeeded, all, "{counts:?}");
    }
}

fn worker(client: &Client<ShardedStore>, told: UnboundedSender<usize>) -> Worker {
    let handler = move |job: Job| {
        let told = told.clone();
        async move {
            // The test may be over.
            let _ = told.send(job.number);
            Ok::<_, HandlerError>(())
        }
    };
    Worker::builder(client)
        .handler(handler)
        .build()
        .expect("it is valid")
}

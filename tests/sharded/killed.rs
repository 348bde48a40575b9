//! One of two databases is killed under work: the other's keys flow, and after its return nothing is missing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Failed;
use serde::{Deserialize, Serialize};
use task_retry::clock::{Clock as _, SystemClock};
use task_retry::postgres::PostgresStore;
use task_retry::sharded::{PartState, ShardedStore};
use task_retry::store::{CountScope, TaskStore as _};
use task_retry::task::State;
use task_retry::why::Reason;
use task_retry::{Client, Enqueued, HandlerError, TaskPayload, Worker};
use test_servers::{Kind, Server, start};
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

pub(crate) fn one_is_killed() -> Result<(), Failed> {
    let servers = [start(Kind::Postgres)?, start(Kind::Postgres)?];
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(killed(&servers));
    Ok(())
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

    async fn some(&mut self, part: usize) -> BTreeSet<usize> {
        let mut sent = BTreeSet::new();
        for _ in 0..SOME {
            let (number, enqueued) = self.job(part).await;
            assert!(enqueued.expect("its part lives").is_new());
            sent.insert(number);
        }
        sent
    }
}

async fn killed(servers: &[Server; 2]) {
    let mut parts = Vec::new();
    for server in servers {
        let connected = PostgresStore::builder(&server.url()).connect().await;
        parts.push(Arc::new(connected.expect("it connects")));
    }
    let store = Arc::new(
        ShardedStore::builder()
            .part("east", Arc::clone(&parts[0]))
            .part("west", Arc::clone(&parts[1]))
            .build()
            .expect("they are parts"),
    );
    let key = |part: &str| {
        let mut keys = (0..).map(|number| format!("customer-{number}"));
        keys.find(|key| store.part_for_key(key) == part)
            .expect("each part has keys")
    };
    let mut sender = Sender {
        client: Client::new(Arc::clone(&store)),
        keys: [key("east"), key("west")],
        next: 0,
    };
    let (told, tell) = unbounded_channel();
    let mut handled = Handled {
        tell,
        seen: BTreeSet::new(),
        clock: SystemClock::new(),
    };
    let worker = worker(&sender.client, told).start();

    // Both live.
    let mut wanted = sender.some(0).await;
    wanted.extend(sender.some(1).await);
    handled.all(&wanted).await;

    // One dies with work before it.
    wanted.extend(sender.some(1).await);
    let (last, lost) = sender.job(1).await;
    let lost = lost.expect("its part lives").id;
    wanted.insert(last);
    servers[1].kill();
    let refused = tokio::spawn(sender.job(1));
    let began = handled.clock.monotonic();
    let flows = sender.some(0).await;
    handled.all(&flows).await;
    let took = handled.clock.monotonic().saturating_since(began);
    assert!(took < UNDISTURBED, "{took:?}");
    wanted.extend(flows);
    let (_, refused) = refused.await.expect("it does not panic");
    assert!(refused.is_err(), "{refused:?}");
    let why = sender.client.why(lost).await.expect("an outage is an answer");
    assert!(
        matches!(why.reason, Reason::NoAnswer { part: Some(1), .. }),
        "{why}"
    );
    let health = store.health();
    assert_eq!(health[0].state, PartState::Closed, "{health:?}");
    assert!(health[1].failures > 0, "{health:?}");
    let counts = store
        .count(&CountScope::default())
        .await
        .expect("one part answers");
    assert_eq!(counts.missing_parts, [1]);

    // It returns, and nothing is missing.
    servers[1].restart().expect("it starts again");
    let over = handled.clock.monotonic() + PATIENCE;
    loop {
        let (number, enqueued) = sender.job(1).await;
        if enqueued.is_ok() {
            wanted.insert(number);
            break;
        }
        assert!(handled.clock.monotonic() < over, "{enqueued:?}");
        // The part is left alone for a while: there is nothing else to wait for.
        handled
            .clock
            .sleep_until(handled.clock.monotonic() + Duration::from_millis(200))
            .await;
    }
    wanted.extend(sender.some(1).await);
    handled.all(&wanted).await;
    worker.shutdown().await;
    let counts = store
        .count(&CountScope {
            queue: None,
            exact: true,
        })
        .await
        .expect("both answer");
    assert!(counts.missing_parts.is_empty());
    // Those of unknown outcome may be there as well; none is left open.
    assert!(counts.of(State::Succeeded) >= wanted.len() as u64, "{counts:?}");
    assert_eq!(
        counts.of(State::Succeeded),
        counts.counts.values().map(|count| count.get()).sum::<u64>()
    );
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

//! The relay on real stores: one relay is dropped in the middle, as by a crash, another one goes on; the order holds.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use libtest_mimic::Arguments;
use retry_core::client::Client;
use retry_core::id::TaskId;
use retry_core::store::{Page, TaskFilter, TaskStore};
use retry_core::task::State;
use retry_postgres::PostgresStore;
use retry_sinks::{Answer, Message, MessageSink, Outgoing, Relay, RelayHandle, SinkQueue, StartError};
use retry_sqlite::SqliteStore;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use test_servers::{Kind, Reach as _, Shared, shared, trial, unique};
use tokio::sync::watch;

type Anything = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let mut trials = vec![trial("sqlite", || block_on(sqlite()))];
    for server in shared(Kind::Postgres) {
        trials.push(trial(server.name().to_owned(), move || postgres(&server)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn block_on<T>(test: impl Future<Output = Result<T, Anything>>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let done = runtime.expect("a runtime").block_on(test);
    done.unwrap_or_else(|error| panic!("{error}"))
}

async fn sqlite() -> Result<(), Anything> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tasks.db");
    // Two handles, as two processes have them.
    let stores = [SqliteStore::open(&path)?, SqliteStore::open(&path)?];
    live(stores.map(|store| Arc::new(store) as Arc<dyn TaskStore>)).await
}

fn postgres(server: &Shared) {
    let (url, schema) = (server.url(), unique("sinks"));
    let open = async || PostgresStore::builder(&url).schema(&schema).connect().await;
    block_on(async { live([Arc::new(open().await?), Arc::new(open().await?)]).await });
    if server.is_given() {
        let drop = AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE"));
        block_on(async {
            let mut conn = PgConnection::connect(&url).await?;
            Ok(sqlx::raw_sql(drop).execute(&mut conn).await?)
        });
    }
}

/// A message that was taken; none: an attempt that was not.
type Entry = Option<(TaskId, String, u32)>;

/// Keeps what it takes. Now and then it does not, or does and says it did not.
#[derive(Debug, Clone)]
struct Log(Arc<watch::Sender<Vec<Entry>>>);

#[async_trait]
impl MessageSink for Log {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Answer> {
        let one = |message: &Outgoing| {
            let (key, text) = (
                message.key.clone().unwrap(),
                std::str::from_utf8(&message.body).unwrap(),
            );
            let taken = (message.id, key, text.parse().unwrap());
            let mut n = 0;
            self.0.send_modify(|log| {
                n = log.len() % 11;
                log.push((n != 10).then_some(taken));
            });
            match n {
                10 => Answer::retry("not taken"),
                5 => Answer::retry("taken, and the acknowledgement is lost"),
                _ => Answer::Acked,
            }
        };
        messages.iter().map(one).collect()
    }
}

fn queue() -> SinkQueue {
    SinkQueue::new("events").unwrap().partitions(4).unwrap()
}

async fn relay(store: &Arc<dyn TaskStore>, log: &Log) -> Result<RelayHandle, Anything> {
    let relay = Relay::builder(Arc::clone(store), queue(), log.clone()).lease(Duration::from_secs(1));
    Ok(relay.build()?.start().await?)
}

async fn live(stores: [Arc<dyn TaskStore>; 2]) -> Result<(), Anything> {
    let log = Log(Arc::new(watch::Sender::new(Vec::new())));
    let mut seen = log.0.subscribe();
    let client = Client::of(Arc::clone(&stores[0]));
    let enqueue = async |from: u32, to: u32| -> Result<(), Anything> {
        let draft = |n: u32| queue().draft(Message::text(n.to_string()).key(format!("key-{}", n % 5)));
        let drafts: Result<Vec<_>, _> = (from..to).map(draft).collect();
        client.enqueue_many(drafts?).await?;
        Ok(())
    };
    enqueue(0, 200).await?;
    let first = relay(&stores[0], &log).await?;
    seen.wait_for(|log| log.len() > 60).await?;
    drop(first);
    let second = relay(&stores[1], &log).await?;
    enqueue(200, 300).await?;
    let other = Relay::builder(Arc::clone(&stores[1]), queue().partitions(8)?, log.clone()).build()?;
    assert!(matches!(
        other.start().await,
        Err(StartError::Partitions { stored: 4, told: 8 })
    ));
    seen.wait_for(|log| {
        log.iter()
            .flatten()
            .map(|(id, ..)| id)
            .collect::<BTreeSet<_>>()
            .len()
            == 300
    })
    .await?;
    second.shutdown().await;
    judge(stores[0].as_ref(), &log).await
}

async fn judge(store: &dyn TaskStore, log: &Log) -> Result<(), Anything> {
    let filter = TaskFilter {
        kinds: vec!["events/message".try_into()?],
        ..TaskFilter::default()
    };
    let listed = store.list(&filter, &Page::first(1_000)).await?;
    assert_eq!(listed.tasks.len(), 300);
    let open = listed
        .tasks
        .iter()
        .filter(|row| row.task.state != State::Succeeded)
        .count();
    // What was sent and not settled when the relay stopped is back in its place.
    assert!(open < 50, "{open}");
    let mut first: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for (id, key, n) in log.0.borrow().iter().flatten() {
        if known.insert(*id) {
            first.entry(key.clone()).or_default().push(*n);
        }
    }
    for (key, numbers) in first {
        assert!(numbers.is_sorted() && numbers.len() == 60, "{key}: {numbers:?}");
    }
    Ok(())
}

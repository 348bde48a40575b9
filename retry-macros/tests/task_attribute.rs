//! The attribute `#[task]`: what it makes works, what it refuses it refuses in words.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use task_retry::clock::ManualClock;
use task_retry::store::MemoryStore;
use task_retry::{Client, Ctx, Draft, Priority, State, TaskPayload, TaskState, Worker, task};

type Seen = Arc<AtomicU32>;

/// Greets.
#[task(
    kind = "mail/welcome",
    queue = "mail",
    priority = high,
    delay = "10s",
    max_attempts = 2,
    retry = exponential("1ms", "1m"),
    timeout = "30s",
    unique = "{email}-{n}",
    fallback = by_post,
    fallback_after = 1,
    derive(Debug, Clone, PartialEq)
)]
async fn welcome(State(seen): State<Seen>, email: String, n: u32, ctx: Ctx) -> Result<(), &'static str> {
    assert_eq!(email, "ada@example.com");
    assert!(ctx.attempt() <= 2);
    seen.fetch_add(n, Ordering::SeqCst);
    Err("no mail today")
}

async fn by_post(task: Welcome, State(seen): State<Seen>) -> Result<(), &'static str> {
    seen.fetch_add(100 * task.n, Ordering::SeqCst);
    Ok(())
}

/// Its first form had one amount in cents, under another name.
#[task(kind = "pay", aliases("charge", "bill"), version = 2, migrate = with_currency)]
async fn pay(State(seen): State<Seen>, amount: u32, currency: String) -> Result<(), &'static str> {
    assert_eq!(currency, "EUR");
    seen.fetch_add(amount, Ordering::SeqCst);
    Ok(())
}

/// Fails for a moment.
#[task(max_attempts = 1, quick_retries(2, "1ms", "5s"))]
async fn flicker(State(seen): State<Seen>) -> Result<(), &'static str> {
    match seen.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Err("not yet"),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn a_failed_run_is_repeated_inside_its_attempt() {
    let client = Client::new(MemoryStore::new());
    let id = Flicker {}.enqueue(&client).await.expect("enqueued").id;
    let seen = Seen::default();
    let worker = Worker::builder(&client)
        .task::<Flicker>()
        .state(Arc::clone(&seen));
    let worker = worker.build().expect("it is complete");
    worker
        .tick(Duration::from_secs(10))
        .await
        .expect("the store answers");
    let task = client
        .get(id)
        .await
        .expect("the store answers")
        .expect("it is kept")
        .task;
    assert_eq!((task.state, task.attempt), (TaskState::Succeeded, 1));
    assert_eq!(seen.load(Ordering::SeqCst), 3);
}

type Migrated = Result<serde_json::Value, Box<dyn std::error::Error + Send + Sync>>;

fn with_currency(from: u32, old: serde_json::Value) -> Migrated {
    assert_eq!(from, 1);
    Ok(serde_json::json!({ "amount": old["cents"], "currency": "EUR" }))
}

#[tokio::test]
async fn an_older_payload_under_an_older_name_is_run() {
    let client = Client::new(MemoryStore::new());
    let old = task_retry::payload::Payload::from_json(r#"{"cents":7}"#).expect("it is JSON");
    client.enqueue(Draft::raw("charge", old)).await.expect("enqueued");
    let currency = "EUR".to_owned();
    Pay { amount: 30, currency }
        .enqueue(&client)
        .await
        .expect("enqueued");
    let seen = Seen::default();
    let worker = Worker::builder(&client)
        .task::<Pay>()
        .state(Arc::clone(&seen))
        .build()
        .expect("it is valid");
    let summary = worker
        .tick(Duration::from_secs(30))
        .await
        .expect("the store answers");
    assert_eq!((summary.succeeded, seen.load(Ordering::SeqCst)), (2, 37));
}

#[task(alert = "attempts > 1 && error.contains('mail')")]
async fn watched(email: String) -> Result<(), std::io::Error> {
    let _ = email;
    Ok(())
}

#[task(alert = "attempt > 1")]
async fn misspelt() -> Result<(), std::convert::Infallible> {
    Ok(())
}

#[test]
fn an_alert_rule_is_checked_when_the_worker_is_built() {
    let builder = || Worker::builder(MemoryStore::new());
    assert!(builder().task::<Watched>().build().is_ok());
    let error = builder().task::<Misspelt>().build().expect_err("refused");
    let text = error.to_string();
    assert!(text.starts_with("the kind misspelt: "), "{text}");
    assert!(
        text.contains("at character 1: there is no field `attempt`"),
        "{text}"
    );
}

#[task]
async fn tick() -> Result<(), std::convert::Infallible> {
    Ok(())
}

#[tokio::test]
async fn options_reach_the_task_and_the_function_its_arguments() {
    let clock = Arc::new(ManualClock::new());
    let store = MemoryStore::with_clock(clock.clone());
    let client = Client::new(store);
    let task = Welcome {
        email: "ada@example.com".to_owned(),
        n: 7,
    };
    let first = task.clone().enqueue(&client).await.expect("enqueued");
    let second = task
        .enqueue(&client)
        .priority(Priority::Low)
        .await
        .expect("answered");
    assert!(first.is_new() && !second.is_new(), "the key keeps the second out");

    let stored = client.get(first.id).await.expect("read").expect("stored").task;
    assert_eq!(stored.kind.as_str(), "mail/welcome");
    assert_eq!(stored.queue.as_str(), "mail");
    assert_eq!(stored.priority, Priority::High);
    assert_eq!(
        stored.run_at.saturating_since(stored.created_at),
        Duration::from_secs(10)
    );
}

#[tokio::test]
async fn one_call_registers_the_function_and_its_fallback() {
    let client = Client::new(MemoryStore::new());
    let task = Welcome {
        email: "ada@example.com".to_owned(),
        n: 7,
    };
    let id = task
        .enqueue(&client)
        .delay(Duration::ZERO)
        .await
        .expect("enqueued")
        .id;
    let seen = Seen::default();
    let worker = Worker::builder(&client)
        .task::<Welcome>()
        .task::<Tick>()
        .state(Arc::clone(&seen))
        .build()
        .expect("everything the handlers need is there");
    let running = worker.start();
    let ended = loop {
        let detail = client.get(id).await.expect("read").expect("stored");
        if detail.task.state.is_final() {
            break detail;
        }
        tokio::task::yield_now().await;
    };
    running.shutdown().await;
    assert_eq!(ended.task.state, TaskState::Succeeded);
    assert!(ended.via_fallback);
    assert_eq!(
        seen.load(Ordering::SeqCst),
        7 + 7 + 700,
        "two attempts, the second with its fallback"
    );
}

#[test]
fn names_without_options_are_the_functions() {
    assert_eq!(Tick::KIND, "tick");
    let _: Draft = Tick {}.into();
}

#[test]
fn mistakes_are_told_where_they_are() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

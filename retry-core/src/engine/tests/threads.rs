//! Real threads and the real clock: starts and stops under load, many times.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::harness::{WithKind as _, job, script};
use crate::client::Client;
use crate::clock::{Clock as _, SystemClock};
use crate::engine::Worker;
use crate::executor::Outcome;
use crate::store::{CountScope, MemoryStore};
use crate::task::State;

/// Graceful stops cost no attempt and lose nothing, whatever they interrupt.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn starts_and_stops_under_load_cost_nothing() {
    let clock = Arc::new(SystemClock::new());
    let store = MemoryStore::new();
    let client = Client::new(store.clone());
    let seen: Arc<Mutex<HashSet<_>>> = Arc::default();
    let drafts = (0..4_000).map(|_| job("a"));
    let enqueued = client.enqueue_many(drafts).await.unwrap();
    for round in 0..40_u64 {
        let (marks, clock) = (Arc::clone(&seen), Arc::clone(&clock));
        let executor = script(move |ctx| {
            let (marks, clock) = (Arc::clone(&marks), Arc::clone(&clock));
            async move {
                clock
                    .sleep_until(clock.monotonic() + Duration::from_micros(200))
                    .await;
                assert_eq!(ctx.attempt(), 1);
                assert!(marks.lock().unwrap().insert(ctx.id()), "run twice");
                Ok(Outcome::Done)
            }
        });
        let worker = || {
            Worker::builder(&client)
                .concurrency(16)
                .kind("a", executor.clone())
                .build()
                .unwrap()
                .start()
        };
        let (first, second) = (worker(), worker());
        let pause = SystemClock::new();
        pause
            .sleep_until(pause.monotonic() + Duration::from_micros(round * 100))
            .await;
        tokio::join!(first.shutdown(), second.shutdown());
        assert_eq!(client.sessions().await.unwrap(), [], "round {round}");
        let counts = client.count(&CountScope::default()).await.unwrap();
        assert_eq!(counts.of(State::Running), 0, "round {round}");
    }
    let worker = Worker::builder(&client)
        .kind("a", script(|_| async { Ok(Outcome::Done) }))
        .build()
        .unwrap();
    worker.tick(Duration::from_secs(60)).await.unwrap();
    for task in enqueued {
        let detail = client.get(task.id).await.unwrap().unwrap();
        assert_eq!(
            (detail.task.state, detail.task.attempt, detail.task.crashes),
            (State::Succeeded, 1, 0)
        );
        assert!(detail.failures.is_empty());
    }
}

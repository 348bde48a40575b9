//! Connections that are ended under load, again and again: every error is typed, and nothing that was answered is lost.

use std::sync::Arc;
use std::time::Duration;

use conformance_tests::crowd::{Crowd, Plan};
use libtest_mimic::Trial;
use redis::Value;
use retry_core::clock::SystemClock;
use retry_core::store::{StoreError, StoreErrorKind, TaskStore};

use crate::support::{NOW, on_redis, send, server, store};

pub(crate) fn trials() -> Vec<Trial> {
    vec![on_redis(
        "killed::connections_that_end_under_load_lose_nothing",
        ended_under_load,
    )]
}

/// How often all connections are ended.
const ROUNDS: usize = 60;

/// Calls that are answered between two rounds.
const BETWEEN: u64 = 20;

/// An answer is waited for this long at most, and none here takes anything like it.
const LONG: Duration = Duration::from_secs(10);

/// An error that passes: the server is away, or has too much to do.
pub(crate) fn passes(error: &StoreError) -> bool {
    matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::Busy)
}

pub(crate) fn plan(callers: usize, rounds: Option<usize>) -> Plan {
    Plan {
        callers,
        rounds,
        allowed: passes,
        now: NOW,
        seed: 43,
        clock: Arc::new(SystemClock::new()),
    }
}

async fn ended_under_load() {
    let server = server(&[]);
    let store: Arc<dyn TaskStore> = Arc::new(store(&server).await);
    // Those who listen are ended as well.
    let _wakeups = store.watch(&[]);
    let crowd = Crowd::on(&plan(16, None), &store);
    let mut ended = 0;
    for _ in 0..ROUNDS {
        crowd.answered(BETWEEN).await;
        for sort in ["normal", "pubsub"] {
            if let Value::Int(connections) = send(&server, &["CLIENT", "KILL", "TYPE", sort]) {
                ended += connections;
            }
        }
    }
    // Nobody restarts anything: the callers' next calls go out on new connections.
    crowd.answered(8 * BETWEEN).await;
    let account = crowd.leave().await.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(ended > 40, "{ended} connections were ended");
    assert!(account.failures(&[StoreErrorKind::Unavailable]) > 0, "{account}");
    assert!(account.slowest < LONG, "{account}");
    let audited = account.audit(&*store, NOW).await;
    audited.unwrap_or_else(|failure| panic!("{failure}\n{account}"));
    crate::audit::audit(&server.url(), "it");
}

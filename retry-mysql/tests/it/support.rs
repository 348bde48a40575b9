//! Servers, databases, tasks and sessions for the tests, all from numbers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use retry_core::clock::{Clock as _, SystemClock};
use retry_core::headers::Headers;
use retry_core::id::{Nonce, SessionId, TaskId};
use retry_core::machine::{Event, transition};
use retry_core::name::{Kind, Queue, WorkerName};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, SessionInfo, TaskStore as _, TaskStoreExt as _};
use retry_core::task::{ClaimedTask, Edit, NewTask, Settings};
use retry_core::time::Timestamp;
use retry_mysql::MySqlStore;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row as _};
use test_servers::Reach;

pub(crate) use crate::place::Place;

/// The time in every test.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// So late that no lease ends by itself.
pub(crate) const FAR: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// An empty database with the store's tables, and the store.
pub(crate) async fn fresh(server: &Arc<impl Reach>) -> (Place, MySqlStore) {
    let place = Place::new(server).await;
    let store = place.store().await;
    (place, store)
}

pub(crate) async fn run(conn: &mut MySqlConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.unwrap();
}

/// The first column of the first row, as a number.
pub(crate) async fn number(conn: &mut MySqlConnection, sql: &str) -> i64 {
    sqlx::query(AssertSqlSafe(sql))
        .fetch_one(conn)
        .await
        .unwrap()
        .try_get(0)
        .unwrap()
}

pub(crate) fn task_id(n: u64) -> TaskId {
    TaskId::from_bytes(u128::from(n).to_be_bytes())
}

pub(crate) fn kind(name: &str) -> Kind {
    Kind::new(name).unwrap()
}

/// Task number `n`, due now.
pub(crate) fn task(n: u64) -> NewTask {
    NewTask {
        id: task_id(n),
        kind: kind("work"),
        queue: Queue::default(),
        priority: Priority::Normal,
        payload: Payload::encode(&n).unwrap(),
        headers: Headers::new(),
        run_at: NOW,
        unique: None,
        parent: None,
        settings: Settings::default(),
        wait_secret: n,
        leased_by: None,
    }
}

pub(crate) fn tasks(numbers: std::ops::Range<u64>) -> Vec<NewTask> {
    numbers.map(task).collect()
}

/// A new session.
pub(crate) async fn session(store: &MySqlStore, n: u64) -> SessionId {
    let info = SessionInfo {
        id: SessionId::from_random(n, n),
        name: WorkerName::new(format!("worker-{n}")).unwrap(),
        host: "here".to_owned(),
        queues: vec![Queue::default()],
        kinds: vec![kind("work")],
    };
    store.open_session(&info, FAR, NOW).await.unwrap();
    info.id
}

pub(crate) fn request(session: SessionId, limit: usize) -> ClaimRequest {
    ClaimRequest::new(session, Queue::default(), [kind("work")], limit)
}

pub(crate) async fn claimed(store: &MySqlStore, session: SessionId, limit: usize) -> Vec<ClaimedTask> {
    store.claim(request(session, limit), NOW).await.unwrap().tasks
}

/// The settle of a success.
pub(crate) fn success(claimed: &ClaimedTask, nonce: u64) -> Edit {
    decided(
        claimed,
        Event::Succeed {
            output: None,
            via_fallback: false,
        },
        nonce,
    )
}

pub(crate) fn decided(claimed: &ClaimedTask, event: Event, nonce: u64) -> Edit {
    Edit {
        id: claimed.task.id,
        version: claimed.task.version,
        nonce: Nonce::from_random(nonce),
        action: transition(&claimed.task, event, NOW, 0).unwrap(),
        insert: Vec::new(),
    }
}

/// Asks again until the answer is right.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut right: impl FnMut() -> F) {
    let clock = SystemClock::new();
    let over = clock.monotonic() + PATIENCE;
    while !right().await {
        assert!(clock.monotonic() < over, "it never happened: {what}");
        tokio::task::yield_now().await;
    }
}

/// Randomness that a seed decides.
pub(crate) fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Longer than anything that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

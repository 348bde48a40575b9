//! Tasks, sessions and stores for the tests, all from numbers.

use std::time::Duration;

use retry_core::clock::{Clock as _, SystemClock};
use retry_core::headers::Headers;
use retry_core::id::{Nonce, SessionId, TaskId};
use retry_core::machine::{Event, transition};
use retry_core::name::{Kind, Queue, UniqueKey, WorkerName};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, SessionInfo, TaskStore as _, TaskStoreExt as _};
use retry_core::task::{ClaimedTask, Edit, KeyScope, NewTask, OnDuplicate, Settings, Unique};
use retry_core::time::Timestamp;
use retry_postgres::PostgresStore;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection};

pub(crate) use crate::env::{Env, needs};

/// The time in every test.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// So late that no lease ends by itself.
pub(crate) const FAR: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Far more than anything that is waited for takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs a test on a runtime of its own.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(test);
    runtime.shutdown_background();
}

/// Runs statements.
pub(crate) async fn execute(conn: &mut PgConnection, sql: impl Into<String>) {
    let sql = sql.into();
    sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(conn)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Runs a statement and gives its rows.
pub(crate) async fn rows(conn: &mut PgConnection, sql: impl Into<String>) -> Vec<PgRow> {
    let sql = sql.into();
    sqlx::query(AssertSqlSafe(sql.clone()))
        .persistent(false)
        .fetch_all(conn)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The one number that a statement answers.
pub(crate) async fn number(conn: &mut PgConnection, sql: impl Into<String>) -> i64 {
    let sql = sql.into();
    sqlx::query_scalar(AssertSqlSafe(sql.clone()))
        .persistent(false)
        .fetch_one(conn)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Looks until the number that a statement answers is as wanted. Each look is a transaction of its own: inside of one the server
/// shows what others do as it was at the first look.
pub(crate) async fn until(conn: &mut PgConnection, sql: impl Into<String>, is_wanted: impl Fn(i64) -> bool) {
    let sql = sql.into();
    let clock = SystemClock::new();
    let over = clock.monotonic() + PATIENCE;
    loop {
        let seen = number(conn, sql.clone()).await;
        if is_wanted(seen) {
            return;
        }
        assert!(clock.monotonic() < over, "{sql}: still {seen}");
    }
}

/// How many calls of the store in a schema wait for a lock.
pub(crate) fn waits(schema: &str) -> String {
    format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%\"{schema}\"%'"
    )
}

pub(crate) fn task_id(n: u64) -> TaskId {
    TaskId::from_bytes(u128::from(n).to_be_bytes())
}

/// Task number `n`, due now.
pub(crate) fn task(n: u64) -> NewTask {
    NewTask {
        id: task_id(n),
        kind: kind(),
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

/// Task number `n` with a unique key.
pub(crate) fn keyed(n: u64, key: &str) -> NewTask {
    NewTask {
        unique: Some(Unique {
            key: UniqueKey::new(key).unwrap(),
            scope: KeyScope::Active,
            on_duplicate: OnDuplicate::Keep,
        }),
        ..task(n)
    }
}

pub(crate) fn tasks(numbers: std::ops::Range<u64>) -> Vec<NewTask> {
    numbers.map(task).collect()
}

pub(crate) fn kind() -> Kind {
    Kind::new("work").unwrap()
}

pub(crate) fn session(n: u64) -> SessionInfo {
    SessionInfo {
        id: SessionId::from_random(n, n),
        name: WorkerName::new(format!("worker-{n}")).unwrap(),
        host: "here".to_owned(),
        queues: vec![Queue::default()],
        kinds: vec![kind()],
    }
}

pub(crate) fn request(session: &SessionInfo, limit: usize) -> ClaimRequest {
    ClaimRequest::new(session.id, Queue::default(), [kind()], limit)
}

/// Inserts tasks and claims them.
pub(crate) async fn claimed(store: &PostgresStore, numbers: std::ops::Range<u64>) -> Vec<ClaimedTask> {
    let session = session(numbers.start + 1_000_000);
    store.open_session(&session, FAR, NOW).await.unwrap();
    let tasks = tasks(numbers);
    store.insert(&tasks, NOW).await.unwrap();
    let claimed = store.claim(request(&session, tasks.len()), NOW).await.unwrap();
    assert_eq!(claimed.tasks.len(), tasks.len());
    claimed.tasks
}

/// The edit that ends a claimed task well.
pub(crate) fn success(claimed: &ClaimedTask) -> Edit {
    let event = Event::Succeed {
        output: None,
        via_fallback: false,
    };
    let Ok(action) = transition(&claimed.task, event, NOW, 0) else {
        panic!("a running task can succeed");
    };
    Edit {
        id: claimed.task.id,
        version: claimed.task.version,
        nonce: Nonce::from_random(
            u64::from_be_bytes(claimed.task.id.to_bytes()[8..].try_into().unwrap()) + 1,
        ),
        action,
        insert: Vec::new(),
    }
}

//! Tasks, sessions and stores for the tests, all from numbers.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use retry_core::clock::ManualClock;
use retry_core::headers::Headers;
use retry_core::id::{Nonce, SessionId, TaskId};
use retry_core::machine::{Event, transition};
use retry_core::name::{Kind, Queue, WorkerName};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, SessionInfo, StoreError, TaskStore as _, Wakeups};
use retry_core::task::{ClaimedTask, Edit, NewTask, Settings, Task};
use retry_core::time::Timestamp;
use retry_sqlite::{SqliteBuilder, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// The time in every test.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// So late that no lease ends by itself.
pub(crate) const FAR: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory and the path of a file in it.
pub(crate) fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("tasks.db");
    (dir, path)
}

/// A store in a directory of its own, whose clock stands still.
pub(crate) fn fresh() -> (TempDir, SqliteStore) {
    let (dir, path) = place();
    let store = builder(&path).build().unwrap();
    (dir, store)
}

pub(crate) fn builder(path: &Path) -> SqliteBuilder {
    SqliteStore::builder(path).clock(Arc::new(ManualClock::new()))
}

pub(crate) fn task_id(n: u64) -> TaskId {
    TaskId::from_bytes(u128::from(n).to_be_bytes())
}

/// The number a test's id was made of.
pub(crate) fn number(id: TaskId) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = id.to_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
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

/// The edit that ends a claimed task well.
pub(crate) fn success(claimed: &ClaimedTask) -> Edit {
    let event = Event::Succeed {
        output: None,
        via_fallback: false,
    };
    decided(&claimed.task, event, number(claimed.task.id) + 1)
}

/// The edit that an event makes of a task.
pub(crate) fn decided(task: &Task, event: Event, nonce: u64) -> Edit {
    let action = transition(task, event, NOW, 0);
    Edit {
        id: task.id,
        version: task.version,
        nonce: Nonce::from_random(nonce),
        action: action.unwrap_or_else(|_| panic!("the event fits a task that is {}", task.state)),
        insert: Vec::new(),
    }
}

/// A connection beside the store, as a user's program has one.
pub(crate) fn beside(store: &SqliteStore) -> Connection {
    Connection::open(store.path()).unwrap()
}

pub(crate) fn count(conn: &Connection, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    conn.query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// Polls a future once and drops it, unless it is ready.
pub(crate) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Whether a hint comes in time.
pub(crate) fn hint_comes(wakeups: Wakeups) -> bool {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(wakeups.next());
        // The test may have given up.
        let _ = sender.send(());
    });
    receiver.recv_timeout(PATIENCE).is_ok()
}

/// Whether a hint is there now.
pub(crate) fn is_hinted(wakeups: &Wakeups) -> bool {
    poll_once(wakeups.next()).is_some()
}

/// A store that does not look for others' commits while the test runs, and one hint less to explain.
pub(crate) fn quiet() -> (TempDir, SqliteStore) {
    let (dir, path) = place();
    let store = builder(&path)
        .poll_interval(Duration::from_secs(3_600))
        .build()
        .unwrap();
    (dir, store)
}

/// Watches the default queue; what others wrote before is over.
pub(crate) async fn watch(store: &SqliteStore) -> Wakeups {
    let wakeups = store.watch(&[Queue::default()]);
    for _ in 0..2 {
        // The second answer means that the look for others' writes, behind the first, is over.
        store.migrate().await.unwrap();
    }
    let _ = is_hinted(&wakeups);
    wakeups
}

/// Keeps the writer busy until the sender is used or dropped.
pub(crate) fn busy(store: &SqliteStore) -> (Sender<()>, JoinHandle<()>) {
    let ((release, released), (began, begun)) = (channel::<()>(), channel());
    let store = store.clone();
    let work = tokio::spawn(async move {
        let done: Result<(), StoreError> = store
            .transaction(move |_| {
                began.send(()).unwrap();
                let _ = released.recv();
                Ok(())
            })
            .await;
        done.unwrap();
    });
    begun.recv().unwrap();
    (release, work)
}

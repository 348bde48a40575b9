//! Tasks, sessions and stores for the tests, all from numbers.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use retry_core::clock::ManualClock;
use retry_core::headers::Headers;
use retry_core::id::{Nonce, SessionId, TaskId};
use retry_core::machine::{Event, transition};
use retry_core::name::{Kind, Queue, WorkerName};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, SessionInfo, TaskStore as _, TaskStoreExt as _};
use retry_core::task::{ClaimedTask, Edit, NewTask, Settings};
use retry_core::time::Timestamp;
use retry_sled::{SledBuilder, SledStore};
use tempfile::TempDir;

/// The time in every test.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// So late that no lease ends by itself.
pub(crate) const FAR: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A directory and the path of a store in it.
pub(crate) fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("tasks");
    (dir, path)
}

/// A store in a directory of its own, whose clock stands still.
pub(crate) fn fresh() -> (TempDir, SledStore) {
    let (dir, path) = place();
    let store = builder(&path).build().unwrap();
    (dir, store)
}

pub(crate) fn builder(path: &Path) -> SledBuilder {
    SledStore::builder(path).clock(Arc::new(ManualClock::new()))
}

pub(crate) fn task_id(n: u64) -> TaskId {
    TaskId::from_bytes(u128::from(n).to_be_bytes())
}

/// The number a test's id was made of.
pub(crate) fn number(id: TaskId) -> u64 {
    u64::try_from(u128::from_be_bytes(id.to_bytes())).unwrap()
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
    let Ok(action) = transition(&claimed.task, event, NOW, 0) else {
        panic!("a running task can succeed");
    };
    Edit {
        id: claimed.task.id,
        version: claimed.task.version,
        nonce: Nonce::from_random(number(claimed.task.id) + 1),
        action,
        insert: Vec::new(),
    }
}

/// Whether every index entry has its row and the reverse.
pub(crate) async fn assert_sound(store: &SledStore) {
    let audit = store.audit().await.unwrap();
    assert!(audit.is_sound(), "{:#?}", audit.told);
}

/// Polls a future once and drops it, unless it is ready.
pub(crate) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A parent that waits for one child, due in the same queue.
pub(crate) async fn parent_with_child(store: &SledStore) -> (TaskId, TaskId) {
    let (parent, child) = (task_id(1_000), task_id(1_001));
    store.insert(&[task(1_000)], NOW).await.unwrap();
    let info = session(1_000);
    store.open_session(&info, FAR, NOW).await.unwrap();
    let claimed = store.claim(request(&info, 1), NOW).await.unwrap().tasks;
    let action = transition(&claimed[0].task, Event::Split { checkpoint: None }, NOW, 0).unwrap();
    let split = Edit {
        id: parent,
        version: claimed[0].task.version,
        nonce: Nonce::from_random(9),
        action,
        insert: vec![NewTask {
            parent: Some(parent),
            ..task(1_001)
        }],
    };
    store.apply(split, NOW).await.unwrap();
    (parent, child)
}

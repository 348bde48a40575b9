//! Wake-ups.

use std::time::Duration;

use retry_core::client::Client;
use retry_core::draft::Draft;
use retry_core::id::Nonce;
use retry_core::machine::{Event, transition};
use retry_core::name::Queue;
use retry_core::payload::Payload;
use retry_core::store::{Applied, Enlist as _, QueueSetting, Result, TaskStore as _, TaskStoreExt as _};
use retry_core::task::{Edit, NewTask};
use retry_sqlite::SqliteStore;

use crate::support::{
    FAR, NOW, beside, builder, fresh, hint_comes, poll_once, request, session, task, tasks,
};

fn other_queue() -> Queue {
    Queue::new("other").unwrap()
}

/// Whether a hint is there now.
fn is_hinted(wakeups: &retry_core::store::Wakeups) -> bool {
    poll_once(wakeups.next()).is_some()
}

/// A store that does not look for others' commits while the test runs, and one hint less to explain.
fn quiet() -> (tempfile::TempDir, SqliteStore) {
    let (dir, path) = crate::support::place();
    let store = builder(&path)
        .poll_interval(Duration::from_secs(3_600))
        .build()
        .unwrap();
    (dir, store)
}

#[tokio::test]
async fn a_due_task_wakes_its_queue_and_no_other() {
    let (_dir, store) = quiet();
    let (here, there) = (store.watch(&[Queue::default()]), store.watch(&[other_queue()]));
    let later = NewTask {
        run_at: NOW.saturating_add(Duration::from_hours(1)),
        ..task(1)
    };
    store.insert_one(later, NOW).await.unwrap();
    assert!(!is_hinted(&here), "nothing is due");
    store.insert_one(task(2), NOW).await.unwrap();
    assert!(is_hinted(&here));
    assert!(!is_hinted(&there));
    store.insert_one(task(2), NOW).await.unwrap();
    assert!(!is_hinted(&here), "repeated, so nothing new");
    store
        .set_queue(&other_queue(), QueueSetting::Resume)
        .await
        .unwrap();
    assert!(is_hinted(&there));
}

#[tokio::test]
async fn a_settle_that_makes_a_task_due_wakes() {
    let (_dir, store) = quiet();
    let wakeups = store.watch(&[Queue::default()]);
    store.insert_one(task(1), NOW).await.unwrap();
    let info = session(1);
    store.open_session(&info, FAR, NOW).await.unwrap();
    let claimed = store.claim(request(&info, 1), NOW).await.unwrap().tasks;
    assert!(is_hinted(&wakeups), "the insert");
    assert!(!is_hinted(&wakeups));
    let action = transition(&claimed[0].task, Event::Snooze { at: NOW }, NOW, 0).unwrap();
    let (id, version, nonce) = (claimed[0].task.id, claimed[0].task.version, Nonce::from_random(1));
    let edit = Edit {
        id,
        version,
        nonce,
        action,
        insert: Vec::new(),
    };
    assert!(matches!(
        store.apply(edit, NOW).await.unwrap(),
        Applied::Done { .. }
    ));
    assert!(is_hinted(&wakeups), "the settle");
}

#[tokio::test]
async fn a_transaction_wakes_when_it_commits() {
    let (_dir, store) = quiet();
    let client = Client::new(store.clone());
    let wakeups = store.watch(&[Queue::default()]);
    for commits in [false, true] {
        let client = client.clone();
        let _: std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> = store
            .transaction(move |tx| {
                client.enqueue(Draft::raw("work", Payload::null())).in_tx(tx)?;
                if commits { Ok(()) } else { Err("no".into()) }
            })
            .await;
        assert_eq!(is_hinted(&wakeups), commits);
    }
}

#[tokio::test]
async fn a_commit_by_another_connection_wakes() {
    let (_dir, store) = fresh();
    let wakeups = store.watch(&[Queue::default()]);
    // An answer after the watch means that the writer has looked at the file since.
    store
        .set_queue(&other_queue(), QueueSetting::Pause)
        .await
        .unwrap();
    let mut conn = beside(&store);
    let tx = conn.transaction().unwrap();
    let answer: Result<_> = store.enlist(&tx, Ok(tasks(1..2)), NOW, |answer| answer);
    answer.unwrap();
    tx.commit().unwrap();
    assert!(hint_comes(wakeups));
}

#[tokio::test]
async fn a_commit_by_another_handle_wakes() {
    let (_dir, store) = fresh();
    let peer = builder(store.path()).build().unwrap();
    let wakeups = store.watch(&[Queue::default()]);
    store
        .set_queue(&other_queue(), QueueSetting::Pause)
        .await
        .unwrap();
    peer.insert_one(task(1), NOW).await.unwrap();
    assert!(hint_comes(wakeups));
}

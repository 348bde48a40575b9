//! Wake-ups.

use std::time::Duration;

use retry_core::client::Client;
use retry_core::draft::Draft;
use retry_core::id::TaskId;
use retry_core::machine::Event;
use retry_core::name::{Queue, UniqueKey};
use retry_core::payload::Payload;
use retry_core::store::{
    Applied, Enlist as _, QueueSetting, Result, StoreError, TaskStore as _, TaskStoreExt as _,
};
use retry_core::task::{Edit, KeyScope, NewTask, OnDuplicate, State, Unique};

use crate::support::{
    FAR, NOW, beside, builder, decided, fresh, hint_comes, is_hinted, quiet, request, session, success, task,
    tasks,
};

fn other_queue() -> Queue {
    Queue::new("other").unwrap()
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
    let edit = decided(&claimed[0].task, Event::Snooze { at: NOW }, 1);
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

/// The parent is in a queue of its own, so that no other hint covers the one of the join.
#[tokio::test]
async fn the_end_of_the_last_child_wakes_the_queue_of_its_parent() {
    let (_dir, store) = quiet();
    let info = session(1);
    store.open_session(&info, FAR, NOW).await.unwrap();
    let parent = NewTask {
        queue: other_queue(),
        ..task(1)
    };
    store.insert_one(parent, NOW).await.unwrap();
    let claim = retry_core::store::ClaimRequest::new(info.id, other_queue(), [crate::support::kind()], 1);
    let claimed = store.claim(claim, NOW).await.unwrap().tasks;
    let parent = &claimed[0].task;
    let child = |n| NewTask {
        id: TaskId::child(parent.id, 0, 0, n),
        parent: Some(parent.id),
        ..task(0)
    };
    let split = Edit {
        insert: vec![child(0), child(1)],
        ..decided(parent, Event::Split { checkpoint: None }, 1)
    };
    store.apply(split, NOW).await.unwrap();
    let wakeups = store.watch(&[other_queue()]);
    let children = store.claim(request(&info, 2), NOW).await.unwrap().tasks;
    for (child, ends) in children.iter().zip([false, true]) {
        store.apply(success(child), NOW).await.unwrap();
        assert_eq!(is_hinted(&wakeups), ends);
    }
    let parent = store.get(parent.id).await.unwrap().unwrap().task;
    assert_eq!(parent.state, State::Pending);
}

#[tokio::test]
async fn what_a_transaction_undid_hints_at_nothing_later() {
    let (_dir, store) = quiet();
    let client = Client::new(store.clone());
    let wakeups = store.watch(&[Queue::default()]);
    type Error = Box<dyn std::error::Error + Send + Sync>;
    for panics in [false, true] {
        let client = client.clone();
        let undone: std::result::Result<(), Error> = store
            .transaction(move |tx| {
                client.enqueue(Draft::raw("work", Payload::null())).in_tx(tx)?;
                assert!(!panics, "boom");
                Err("no".into())
            })
            .await;
        undone.unwrap_err();
        // Others' commits, of a closure and of a call, bring no hint of it.
        let other: std::result::Result<(), Error> = store.transaction(|_| Ok(())).await;
        other.unwrap();
        store
            .set_queue(&other_queue(), QueueSetting::Resume)
            .await
            .unwrap();
        assert!(!is_hinted(&wakeups), "panics: {panics}");
    }
}

/// A hint before the commit would send workers to look in vain, and be the last.
#[tokio::test]
async fn a_transaction_elsewhere_hints_at_nothing_before_its_commit() {
    let (_dir, store) = quiet();
    let wakeups = store.watch(&[Queue::default()]);
    let mut conn = beside(&store);
    let tx = conn
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();
    let answer: Result<_> = store.enlist(&tx, Ok(tasks(1..2)), NOW, |answer| answer);
    answer.unwrap();
    assert!(!is_hinted(&wakeups));
    tx.rollback().unwrap();
    store
        .set_queue(&other_queue(), QueueSetting::Resume)
        .await
        .unwrap();
    let other: std::result::Result<(), StoreError> = store.transaction(|_| Ok(())).await;
    other.unwrap();
    assert!(!is_hinted(&wakeups), "nor is one kept for the next commit");
}

/// A task that is due before a worker looks again by itself is worth a hint.
#[tokio::test]
async fn a_task_due_in_a_moment_wakes() {
    let (_dir, store) = quiet();
    let wakeups = store.watch(&[Queue::default()]);
    let due_in = |n, millis| NewTask {
        run_at: NOW.saturating_add(Duration::from_millis(millis)),
        ..task(n)
    };
    store.insert_one(due_in(1, 2_001), NOW).await.unwrap();
    assert!(!is_hinted(&wakeups));
    store.insert_one(due_in(2, 2_000), NOW).await.unwrap();
    assert!(is_hinted(&wakeups));
}

#[tokio::test]
async fn a_pending_task_that_becomes_due_by_an_edit_or_a_replacement_wakes() {
    let (_dir, store) = quiet();
    let wakeups = store.watch(&[Queue::default()]);
    let keyed = |n, hours| NewTask {
        run_at: NOW.saturating_add(Duration::from_hours(hours)),
        unique: Some(Unique {
            key: UniqueKey::new("k").unwrap(),
            scope: KeyScope::Active,
            on_duplicate: OnDuplicate::Replace {
                payload: false,
                run_at: true,
            },
        }),
        ..task(n)
    };
    store.insert_one(keyed(1, 1), NOW).await.unwrap();
    assert!(!is_hinted(&wakeups));
    store.insert_one(keyed(2, 0), NOW).await.unwrap();
    assert!(is_hinted(&wakeups), "replaced");
    let pending = store.get(crate::support::task_id(1)).await.unwrap().unwrap();
    let cancel = decided(&pending.task, Event::Cancel, 1);
    store.apply(cancel, NOW).await.unwrap();
    assert!(!is_hinted(&wakeups), "it has ended");
    let ended = store.get(crate::support::task_id(1)).await.unwrap().unwrap();
    let rerun = Event::Rerun {
        at: NOW,
        from_start: false,
    };
    store.apply(decided(&ended.task, rerun, 2), NOW).await.unwrap();
    assert!(is_hinted(&wakeups), "rerun");
}

/// What was committed between the opening and the first watch is looked for.
#[tokio::test]
async fn a_commit_of_others_before_the_first_watch_wakes() {
    let (_dir, store) = fresh();
    // An answer means that the writer has begun.
    store.migrate().await.unwrap();
    let peer = builder(store.path()).build().unwrap();
    peer.insert_one(task(1), NOW).await.unwrap();
    let wakeups = store.watch(&[Queue::default()]);
    assert!(hint_comes(wakeups));
}

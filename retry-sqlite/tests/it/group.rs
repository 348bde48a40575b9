//! Group commit.

use std::sync::mpsc::channel;

use retry_core::id::Nonce;
use retry_core::machine::{Event, transition};
use retry_core::store::{Applied, Inserted, TaskStore as _, TaskStoreExt as _};
use retry_core::task::{Edit, ErrorText, FailedAttempt};

use crate::support::{
    FAR, NOW, beside, builder, busy, count, fresh, poll_once, request, session, task, task_id, tasks,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_gathers_shares_a_commit() {
    let (_dir, store) = fresh();
    let (release, work) = busy(&store);
    let inserts: Vec<_> = (0..200)
        .map(|n| {
            let store = store.clone();
            let (sent, is_sent) = channel();
            let insert = tokio::spawn(async move {
                let mut call = Box::pin(store.insert_one(task(n), NOW));
                assert!(poll_once(&mut call).is_none(), "the writer is busy");
                sent.send(()).unwrap();
                call.await.unwrap()
            });
            is_sent.recv().unwrap();
            insert
        })
        .collect();
    let before = store.commits();
    drop(release);
    work.await.unwrap();
    for insert in inserts {
        assert_eq!(insert.await.unwrap(), Inserted::New { leased: false });
    }
    let commits = store.commits() - before;
    assert!(
        commits <= 2,
        "200 inserts and the transaction in {commits} commits"
    );
    assert_eq!(count(&beside(&store), "retry_task"), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_leaves_its_neighbours() {
    let (_dir, store) = fresh();
    store.open_session(&session(1), FAR, NOW).await.unwrap();
    store.insert_one(task(0), NOW).await.unwrap();
    store.claim(request(&session(1), 1), NOW).await.unwrap();
    store.close_session(session(1).id).await.unwrap();
    let (release, work) = busy(&store);
    let (first, info, second) = (tasks(1..2), session(1), tasks(2..3));
    let first = store.insert(&first, NOW);
    let lost = store.open_session(&info, FAR, NOW);
    let second = store.insert(&second, NOW);
    let release = async {
        drop(release);
        work.await.unwrap();
    };
    let (first, lost, second, ()) = tokio::join!(biased; first, lost, second, release);
    assert!(first.is_ok() && second.is_ok());
    assert!(lost.is_err(), "a lost session is not opened again");
    assert_eq!(count(&beside(&store), "retry_task"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_call_leaves_nothing_open() {
    let (_dir, store) = fresh();
    for n in 0..50 {
        // It may be answered at once, which is as well.
        let _ = poll_once(store.insert_one(task(n), NOW));
    }
    // The next answer means that everything before it is over.
    store.insert_one(task(100), NOW).await.unwrap();
    let mut conn = beside(&store);
    conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    let tx = conn
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();
    tx.execute_batch("CREATE TABLE mine (n INTEGER)").unwrap();
    tx.commit().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_store_finishes_what_was_sent() {
    let (dir, store) = fresh();
    let path = store.path().to_owned();
    let calls: Vec<_> = (0..20)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.insert_one(task(n), NOW).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    drop(store);
    let mut files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["tasks.db", "tasks.db-locks"], "closed cleanly");
    let conn = rusqlite::Connection::open(path).unwrap();
    assert_eq!(count(&conn, "retry_task"), 20);
}

/// What a task leaves behind must not surface in another one.
#[tokio::test]
async fn a_deleted_task_leaves_nothing_behind() {
    let (_dir, store) = fresh();
    let info = session(1);
    store.open_session(&info, FAR, NOW).await.unwrap();
    store.insert_one(task(1), NOW).await.unwrap();
    let claimed = store.claim(request(&info, 1), NOW).await.unwrap().tasks;
    let error = ErrorText::new("e");
    let failure = FailedAttempt {
        attempt: 1,
        worker: None,
        started_at: NOW,
        ended_at: NOW,
        error,
    };
    let mut task = claimed[0].task.clone();
    for (random, event) in [(1, Event::Fail { failure }), (2, Event::Delete)] {
        let action = transition(&task, event, NOW, 0).unwrap();
        let (id, version, nonce) = (task.id, task.version, Nonce::from_random(random));
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
        if let Some(detail) = store.get(id).await.unwrap() {
            assert_eq!(detail.failures.len(), 1);
            task = detail.task;
        }
    }
    let conn = beside(&store);
    for table in ["retry_task", "retry_body", "retry_note", "retry_failure"] {
        assert_eq!(count(&conn, table), 0, "{table}");
    }
}

/// A read after a dropped call sees what the call left for good: never the time before a commit that is under way.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_waits_for_the_writes_of_dropped_calls() {
    let (_dir, store) = fresh();
    let peer = builder(store.path()).build().unwrap();
    let (release, work) = busy(&store);
    // The next group: a write, then a transaction that holds the group open.
    let new = tasks(1..2);
    let mut write = Box::pin(store.insert(&new, NOW));
    assert!(poll_once(&mut write).is_none());
    let ((go_on, goes_on), (began, begun)) = (channel::<()>(), channel());
    let mut hold = Box::pin(store.transaction(move |_| {
        began.send(()).unwrap();
        let _ = goes_on.recv();
        Ok::<_, retry_core::store::StoreError>(())
    }));
    assert!(poll_once(&mut hold).is_none());
    drop(release);
    work.await.unwrap();
    begun.recv().unwrap();
    // The write is done, its commit is still to come.
    drop(write);
    let mut read = Box::pin(store.get(task_id(1)));
    assert!(poll_once(&mut read).is_none(), "it waits");
    for _ in 0..100 {
        // As long as this takes, a read that does not wait has long been answered.
        assert!(peer.get(task_id(1)).await.unwrap().is_none());
    }
    drop(go_on);
    let found = read.await.unwrap();
    hold.await.unwrap();
    assert_eq!(
        found.is_some(),
        peer.get(task_id(1)).await.unwrap().is_some(),
        "what was seen is what stays"
    );
}

/// The first of many waiting writes is not answered only when the last is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_bounds() {
    const BOUND: u64 = 256;
    let (_dir, store) = fresh();
    let (release, work) = busy(&store);
    let new: Vec<_> = (0..2 * BOUND + 1).map(|n| [task(n)]).collect();
    let mut calls: Vec<_> = new.iter().map(|new| store.insert(new, NOW)).collect();
    for call in &mut calls {
        assert!(poll_once(call.as_mut()).is_none());
    }
    let before = store.commits();
    drop(release);
    work.await.unwrap();
    for call in calls {
        call.await.unwrap();
    }
    // The busy one, and the others in three groups.
    assert_eq!(store.commits() - before, 4);
}

/// What comes behind a slow write is the next group's, so that its neighbours are answered first.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_write_ends_its_group() {
    let (_dir, path) = crate::support::place();
    let clock = retry_core::clock::ManualClock::new();
    let store = retry_sqlite::SqliteStore::builder(&path)
        .clock(std::sync::Arc::new(clock.clone()))
        .build()
        .unwrap();
    let (release, work) = busy(&store);
    let (first, last) = ([task(1)], [task(2)]);
    let slow = store.transaction(move |_| {
        clock.advance(std::time::Duration::from_millis(50));
        Ok::<_, retry_core::store::StoreError>(())
    });
    let before = store.commits();
    let (first, slow, last, ()) = tokio::join!(
        biased;
        store.insert(&first, NOW),
        slow,
        store.insert(&last, NOW),
        async {
            drop(release);
            work.await.unwrap();
        }
    );
    assert!(first.is_ok() && slow.is_ok() && last.is_ok());
    assert_eq!(store.commits() - before, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_a_bound_in_bytes() {
    let (_dir, path) = crate::support::place();
    let store = builder(&path)
        .synchronous(retry_sqlite::Synchronous::Off)
        .build()
        .unwrap();
    let (release, work) = busy(&store);
    let large = |n| retry_core::task::NewTask {
        payload: retry_core::payload::Payload::encode(&"x".repeat(1_000_000)).unwrap(),
        ..task(n)
    };
    // Three of them are more than 16 MiB.
    let new: Vec<Vec<_>> = (0..4)
        .map(|call| (call * 7..call * 7 + 7).map(large).collect())
        .collect();
    let mut calls: Vec<_> = new.iter().map(|new| store.insert(new, NOW)).collect();
    for call in &mut calls {
        assert!(poll_once(call.as_mut()).is_none());
    }
    let before = store.commits();
    drop(release);
    work.await.unwrap();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(store.commits() - before, 3, "the busy one and two groups");
}

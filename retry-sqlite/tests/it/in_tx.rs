//! Enqueueing inside a transaction of the user's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use retry_core::client::Client;
use retry_core::draft::Draft;
use retry_core::payload::Payload;
use retry_core::store::{
    Certainty, Enlist as _, Inserted, Result, StoreErrorKind, TaskStore as _, TaskStoreExt as _,
};
use rusqlite::{Connection, TransactionBehavior};

use crate::support::{NOW, beside, count, fresh, task, task_id, tasks};

type Answer = Result<Vec<Inserted>>;

const NEW: Inserted = Inserted::New { leased: false };

#[tokio::test]
async fn tasks_exist_when_the_transaction_commits() {
    let (_dir, store) = fresh();
    let mut conn = beside(&store);
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let answer: Answer = store.enlist(&tx, Ok(tasks(1..3)), NOW, |answer| answer);
    assert_eq!(answer.unwrap(), [NEW, NEW]);
    assert!(store.get(task_id(1)).await.unwrap().is_none(), "not yet");
    tx.commit().unwrap();
    assert!(store.get(task_id(1)).await.unwrap().is_some());
    assert_eq!(store.insert_one(task(2), NOW).await.unwrap(), Inserted::Repeated);
}

#[tokio::test]
async fn tasks_go_with_a_rollback_also_to_a_savepoint() {
    let (_dir, store) = fresh();
    let mut conn = beside(&store);
    let tx = conn.transaction().unwrap();
    let answer: Answer = store.enlist(&tx, Ok(tasks(1..2)), NOW, |answer| answer);
    assert_eq!(answer.unwrap(), [NEW]);
    tx.rollback().unwrap();

    let mut tx = conn.transaction().unwrap();
    let answer: Answer = store.enlist(&tx, Ok(tasks(2..3)), NOW, |answer| answer);
    answer.unwrap();
    let mut savepoint = tx.savepoint().unwrap();
    let answer: Answer = store.enlist(&savepoint, Ok(tasks(3..4)), NOW, |answer| answer);
    answer.unwrap();
    savepoint.rollback().unwrap();
    drop(savepoint);
    tx.commit().unwrap();

    let mut found = Vec::new();
    for n in 1..4 {
        found.push(store.get(task_id(n)).await.unwrap().is_some());
    }
    assert_eq!(found, [false, true, false]);
    assert_eq!(count(&conn, "retry_body"), 1);
}

#[tokio::test]
async fn a_bare_connection_commits_at_once() {
    let (_dir, store) = fresh();
    let conn = beside(&store);
    let answer: Answer = store.enlist(&conn, Ok(tasks(1..2)), NOW, |answer| answer);
    answer.unwrap();
    assert!(conn.is_autocommit());
    assert!(store.get(task_id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn the_client_enqueues_through_any_of_them() {
    let (_dir, store) = fresh();
    let client = Client::new(store.clone());
    let mut conn = beside(&store);
    client
        .enqueue(Draft::raw("work", Payload::null()))
        .in_tx(&conn)
        .unwrap();
    let mut tx = conn.transaction().unwrap();
    client
        .enqueue(Draft::raw("work", Payload::null()))
        .in_tx(&tx)
        .unwrap();
    let savepoint = tx.savepoint().unwrap();
    client
        .enqueue(Draft::raw("work", Payload::null()))
        .in_tx(&savepoint)
        .unwrap();
    savepoint.commit().unwrap();
    tx.commit().unwrap();
    assert_eq!(count(&conn, "retry_task"), 3);
}

#[tokio::test]
async fn a_connection_to_another_file_is_refused() {
    let (_dir, store) = fresh();
    let (_other_dir, other) = fresh();
    for conn in [beside(&other), Connection::open_in_memory().unwrap()] {
        let answer: Answer = store.enlist(&conn, Ok(tasks(1..2)), NOW, |answer| answer);
        let error = answer.unwrap_err();
        assert_eq!(
            (error.kind(), error.certainty()),
            (StoreErrorKind::Schema, Certainty::Rejected)
        );
        assert!(
            error.to_string().contains("open it on the file named first"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn missing_tables_and_a_held_lock_say_what_to_do() {
    let (_dir, store) = fresh();
    let mut holder = beside(&store);
    let conn = beside(&store);
    conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    let lock = holder
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let answer: Answer = store.enlist(&conn, Ok(tasks(1..2)), NOW, |answer| answer);
    let error = answer.unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty()),
        (StoreErrorKind::Busy, Certainty::Rejected)
    );
    assert!(error.to_string().contains("BEGIN IMMEDIATE"), "{error}");
    lock.rollback().unwrap();

    conn.execute_batch("DROP TABLE retry_task").unwrap();
    let answer: Answer = store.enlist(&conn, Ok(tasks(1..2)), NOW, |answer| answer);
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Schema);
    assert!(error.to_string().contains("(migrated)"), "{error}");
    assert!(conn.is_autocommit());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_the_store_finds_the_lock_beside_a_busy_store() {
    let (_dir, store) = fresh();
    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..8_u64)
        .map(|writer| {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut n = (writer + 1) * 1_000_000;
                while !stop.load(Ordering::Relaxed) {
                    store.insert(&tasks(n..n + 20), NOW).await.unwrap();
                    n += 20;
                }
            })
        })
        .collect();
    let mut conn = store.connection().unwrap();
    let synchronous: i64 = conn
        .pragma_query_value(None, "synchronous", |row| row.get(0))
        .unwrap();
    assert_eq!(synchronous, 2, "FULL");
    for n in 0..100 {
        let tx = conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        let answer: Answer = store.enlist(&tx, Ok(tasks(n..n + 1)), NOW, |answer| answer);
        assert_eq!(answer.unwrap(), [NEW]);
        tx.commit().unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for writer in busy {
        writer.await.unwrap();
    }
}

/// One call is all or nothing also inside a transaction that goes on, and what the user wrote before it stays.
#[tokio::test]
async fn a_call_that_fails_goes_back_to_where_it_began() {
    let (_dir, store) = fresh();
    let mut conn = beside(&store);
    conn.execute_batch(
        "CREATE TABLE mine (n INTEGER);
         CREATE TRIGGER refuse BEFORE INSERT ON retry_task WHEN new.run_at = 1700000000077
             BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .unwrap();
    let mut calls = vec![task(1), task(2)];
    calls[1].run_at = retry_core::time::Timestamp::from_millis(NOW.as_millis() + 77);
    for nested in [false, true] {
        let mut tx = conn.transaction().unwrap();
        tx.execute_batch("INSERT INTO mine VALUES (1)").unwrap();
        let savepoint = tx.savepoint().unwrap();
        let answer: Answer = if nested {
            store.enlist(&savepoint, Ok(calls.clone()), NOW, |answer| answer)
        } else {
            store.enlist(&*savepoint, Ok(calls.clone()), NOW, |answer| answer)
        };
        assert_eq!(answer.unwrap_err().certainty(), Certainty::Rejected);
        let answer: Answer = store.enlist(&savepoint, Ok(tasks(3..4)), NOW, |answer| answer);
        answer.unwrap();
        savepoint.commit().unwrap();
        tx.commit().unwrap();
    }
    assert_eq!((count(&conn, "mine"), count(&conn, "retry_task")), (2, 1));
    assert!(store.get(task_id(3)).await.unwrap().is_some());
}

/// Also when SQLite itself ended the whole transaction, the call only tells: it begins and ends nothing of its own.
#[tokio::test]
async fn a_call_after_which_no_transaction_is_left_says_so() {
    let (_dir, store) = fresh();
    let mut conn = beside(&store);
    conn.execute_batch(
        "CREATE TABLE mine (n INTEGER);
         CREATE TRIGGER refuse BEFORE INSERT ON retry_task BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
    )
    .unwrap();
    let tx = conn.transaction().unwrap();
    tx.execute_batch("INSERT INTO mine VALUES (1)").unwrap();
    let answer: Answer = store.enlist(&tx, Ok(tasks(1..2)), NOW, |answer| answer);
    let error = answer.unwrap_err();
    assert_eq!(error.certainty(), Certainty::Rejected);
    assert!(error.to_string().contains("trigger"), "{error}");
    assert!(tx.is_autocommit());
    drop(tx);
    assert_eq!(count(&conn, "mine"), 0);
}

/// It waits by itself, however short the store's own patience is.
#[test]
fn a_connection_of_the_store_waits_for_the_lock() {
    const MOMENT: std::time::Duration = std::time::Duration::from_millis(100);
    let (_dir, path) = crate::support::place();
    let store = crate::support::builder(&path)
        .busy_timeout(std::time::Duration::ZERO)
        .build()
        .unwrap();
    let mut holder = beside(&store);
    let lock = holder
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let conn = store.connection().unwrap();
        begun.send(conn.execute_batch("BEGIN IMMEDIATE")).unwrap();
    });
    let early = has_begun.recv_timeout(MOMENT);
    assert!(early.is_err(), "it does not wait: {early:?}");
    lock.rollback().unwrap();
    has_begun.recv().unwrap().unwrap();
    waiter.join().unwrap();
}

//! `SqliteStore::transaction`.

use std::sync::Arc;
use std::time::Duration;

use retry_core::client::Client;
use retry_core::clock::ManualClock;
use retry_core::draft::Draft;
use retry_core::payload::Payload;
use retry_core::store::{Certainty, StoreError, StoreErrorKind, TaskStore as _, TaskStoreExt as _};
use retry_sqlite::{SqliteStore, TRANSACTION_LIMIT};
use rusqlite::Savepoint;

use crate::support::{NOW, beside, count, fresh, place, task, task_id, tasks};

type Error = Box<dyn std::error::Error + Send + Sync>;

const FOREVER: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

fn with_table() -> (tempfile::TempDir, SqliteStore) {
    let (dir, store) = fresh();
    beside(&store)
        .execute_batch("CREATE TABLE mine (n INTEGER)")
        .unwrap();
    (dir, store)
}

fn write(tx: &Savepoint<'_>) -> Result<(), Error> {
    tx.execute("INSERT INTO mine VALUES (1)", [])?;
    Ok(())
}

fn store_error(error: Error) -> StoreError {
    *error.downcast().unwrap()
}

#[tokio::test]
async fn both_writes_are_there_or_neither() {
    let (_dir, store) = with_table();
    let conn = beside(&store);
    let client = Client::new(store.clone());
    let tasks = client.clone();
    let done: Result<u32, Error> = store
        .transaction(move |tx| {
            write(tx)?;
            tasks.enqueue(Draft::raw("work", Payload::null())).in_tx(tx)?;
            Ok(7)
        })
        .await;
    assert_eq!(done.unwrap(), 7);
    assert_eq!((count(&conn, "mine"), count(&conn, "retry_task")), (1, 1));

    let failed: Result<(), Error> = store
        .transaction(move |tx| {
            write(tx)?;
            client.enqueue(Draft::raw("work", Payload::null())).in_tx(tx)?;
            Err("no stock".into())
        })
        .await;
    assert_eq!(failed.unwrap_err().to_string(), "no stock");
    assert_eq!((count(&conn, "mine"), count(&conn, "retry_task")), (1, 1));
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_writer_lives() {
    let (_dir, store) = with_table();
    let failed: Result<(), Error> = store
        .transaction(|tx| {
            write(tx)?;
            panic!("boom");
        })
        .await;
    let error = store_error(failed.unwrap_err());
    assert_eq!(error.certainty(), Certainty::Rejected);
    assert!(error.to_string().contains("boom"), "{error}");
    store.insert_one(task(1), NOW).await.unwrap();
    assert_eq!(count(&beside(&store), "mine"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_one_is_interrupted_and_its_neighbours_are_not_hurt() {
    let (_dir, path) = place();
    let clock = ManualClock::new();
    let store = SqliteStore::builder(&path)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    beside(&store)
        .execute_batch("CREATE TABLE mine (n INTEGER)")
        .unwrap();
    for sql in [FOREVER.to_owned(), format!("INSERT INTO mine {FOREVER}")] {
        let clock = clock.clone();
        let (before, after) = (tasks(1..2), tasks(2..3));
        let before = store.insert(&before, NOW);
        let slow = store.transaction(move |tx| {
            write(tx)?;
            clock.advance(TRANSACTION_LIMIT + Duration::from_millis(1));
            // A write that is interrupted makes SQLite roll back everything.
            let _ = tx.execute_batch(&sql);
            Ok::<_, Error>(())
        });
        let after = store.insert(&after, NOW);
        let (before, slow, after) = tokio::join!(biased; before, slow, after);
        assert!(before.is_ok() && after.is_ok(), "{before:?} {after:?}");
        let error = store_error(slow.unwrap_err());
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        assert!(error.to_string().contains("longer than 1s"), "{error}");
        assert_eq!(count(&beside(&store), "mine"), 0);
    }
    assert_eq!(count(&beside(&store), "retry_task"), 2);
}

#[tokio::test]
async fn it_cannot_end_the_group_or_change_the_connection() {
    let (_dir, store) = with_table();
    for sql in [
        "COMMIT",
        "ROLLBACK",
        "BEGIN",
        "RELEASE retry_user",
        "ROLLBACK TO RETRY_CALL",
        "ATTACH ':memory:' AS other",
        "PRAGMA synchronous = OFF",
        "PRAGMA query_only = 1",
        "PRAGMA defer_foreign_keys = 1",
    ] {
        let answer: Result<(), Error> = store
            .transaction(move |tx| {
                write(tx)?;
                tx.execute_batch(sql)?;
                Ok(())
            })
            .await;
        let text = answer.unwrap_err().to_string();
        assert!(text.contains("not authorized"), "{sql}: {text}");
    }
    let allowed: Result<i64, Error> = store
        .transaction(|tx| {
            tx.execute_batch(
                "SAVEPOINT mine; INSERT INTO mine VALUES (2); RELEASE mine; PRAGMA user_version = 5",
            )?;
            Ok(
                tx.query_row("SELECT count(*) FROM pragma_table_info('mine')", [], |row| {
                    row.get(0)
                })?,
            )
        })
        .await;
    assert_eq!(allowed.unwrap(), 1);
    assert_eq!(count(&beside(&store), "mine"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_store_inside_is_refused() {
    let (_dir, store) = with_table();
    let inside = store.clone();
    let answer: Result<(), Error> = store
        .transaction(move |_| {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            runtime.block_on(inside.insert_one(task(1), NOW))?;
            Ok(())
        })
        .await;
    let error = store_error(answer.unwrap_err());
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    assert!(error.to_string().contains("in_tx"), "{error}");
}

#[tokio::test]
async fn a_closure_may_hold_the_last_handle() {
    let (_dir, store) = with_table();
    let path = store.path().to_owned();
    let conn = beside(&store);
    let (release, released) = std::sync::mpsc::channel();
    let (says, hears) = std::sync::mpsc::channel();
    let inside = store.clone();
    let call = tokio::spawn(async move {
        let last = inside.clone();
        let call = inside.transaction(move |tx| {
            write(tx)?;
            says.send("begun")?;
            released.recv()?;
            drop(last);
            says.send("dropped")?;
            Ok::<_, Error>(())
        });
        let mut call = Box::pin(call);
        assert!(crate::support::poll_once(&mut call).is_none());
        assert_eq!(hears.recv().unwrap(), "begun");
        hears
    });
    let hears = call.await.unwrap();
    drop(store);
    release.send(()).unwrap();
    assert_eq!(hears.recv().unwrap(), "dropped");
    // Nobody waited for the answer, so the work was undone; the file can be opened again.
    let again = SqliteStore::open(path).unwrap();
    assert!(again.get(task_id(1)).await.unwrap().is_none());
    assert_eq!(count(&conn, "mine"), 0);
}

//! Enqueueing inside a transaction of the user's own.

use std::sync::Arc;

use futures_util::FutureExt as _;
use retry_core::name::UniqueKey;
use retry_core::payload::Payload;
use retry_core::store::{
    Certainty, Enlist, Inserted, Result, StoreErrorKind, TaskStore as _, TaskStoreExt as _,
};
use retry_core::task::{KeyScope, NewTask, OnDuplicate, State, Unique};
use retry_mysql::MySqlStore;
use sqlx::Connection as _;
use sqlx::mysql::{MySqlConnection, MySqlPoolOptions};
use test_servers::Shared;

use crate::support::{NOW, fresh, number, run, task, task_id, tasks};

type Answer = Result<Vec<Inserted>>;

const NEW: Inserted = Inserted::New { leased: false };

async fn enlist<Tx>(store: &MySqlStore, tx: Tx, tasks: Vec<NewTask>) -> Answer
where
    MySqlStore: Enlist<Tx>,
    <MySqlStore as Enlist<Tx>>::Reply<Answer>: Future<Output = Answer>,
{
    store.enlist(tx, Ok(tasks), NOW, |answer| answer).await
}

fn keyed(n: u64, key: &str) -> NewTask {
    NewTask {
        unique: Some(Unique {
            key: UniqueKey::new(key).unwrap(),
            scope: KeyScope::Active,
            on_duplicate: OnDuplicate::Keep,
        }),
        ..task(n)
    }
}

async fn is_there(store: &MySqlStore, n: u64) -> bool {
    store.get(task_id(n)).await.unwrap().is_some()
}

pub(crate) async fn tasks_exist_when_the_transaction_commits(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let mut conn = place.connect().await;
    let mut tx = conn.begin().await.unwrap();
    assert_eq!(enlist(&store, &mut tx, tasks(1..3)).await.unwrap(), [NEW, NEW]);
    assert!(!is_there(&store, 1).await, "not yet");
    tx.commit().await.unwrap();
    assert!(is_there(&store, 1).await);
    assert_eq!(store.insert_one(task(2), NOW).await.unwrap(), Inserted::Repeated);
}

pub(crate) async fn tasks_go_with_a_rollback_also_to_a_savepoint(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let mut conn = place.connect().await;
    let mut tx = conn.begin().await.unwrap();
    assert_eq!(enlist(&store, &mut tx, tasks(1..2)).await.unwrap(), [NEW]);
    tx.rollback().await.unwrap();

    let mut tx = conn.begin().await.unwrap();
    enlist(&store, &mut tx, tasks(2..3)).await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    enlist(&store, &mut savepoint, tasks(3..4)).await.unwrap();
    savepoint.rollback().await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    enlist(&store, &mut savepoint, tasks(4..5)).await.unwrap();
    savepoint.commit().await.unwrap();
    tx.commit().await.unwrap();
    let mut found = Vec::new();
    for n in 1..5 {
        found.push(is_there(&store, n).await);
    }
    assert_eq!(found, [false, true, false, true]);
    assert_eq!(number(&mut conn, "SELECT COUNT(*) FROM retry_task").await, 2);
}

pub(crate) async fn duplicates_are_answers_and_leave_the_transaction_usable(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    store.insert(&[task(1), keyed(2, "k")], NOW).await.unwrap();
    let mut conn = place.connect().await;
    run(
        &mut conn,
        "CREATE TABLE orders (id INT PRIMARY KEY) ENGINE = InnoDB",
    )
    .await;
    let mut tx = conn.begin().await.unwrap();
    run(&mut tx, "INSERT INTO orders VALUES (1)").await;
    let given = enlist(
        &store,
        &mut tx,
        vec![task(1), keyed(3, "k"), keyed(4, "l"), keyed(5, "l")],
    )
    .await
    .unwrap();
    let held = |n| Inserted::Duplicate {
        holder: task_id(n),
        state: State::Pending,
    };
    assert_eq!(given, [Inserted::Repeated, held(2), NEW, held(4)]);
    run(&mut tx, "INSERT INTO orders VALUES (2)").await;
    tx.commit().await.unwrap();
    assert_eq!(number(&mut conn, "SELECT COUNT(*) FROM orders").await, 2);
    assert!(is_there(&store, 4).await && !is_there(&store, 5).await);
    let mut replacing = keyed(6, "k");
    replacing.payload = Payload::from_json("\"new\"").unwrap();
    if let Some(unique) = &mut replacing.unique {
        unique.on_duplicate = OnDuplicate::Replace {
            payload: true,
            run_at: false,
        };
    }
    let mut tx = conn.begin().await.unwrap();
    let given = enlist(&store, &mut tx, vec![replacing]).await.unwrap();
    assert_eq!(given, [Inserted::Replaced { holder: task_id(2) }]);
    tx.commit().await.unwrap();
    let detail = store.get(task_id(2)).await.unwrap().unwrap();
    assert_eq!((detail.task.version, detail.payload.as_json()), (1, "\"new\""));
}

pub(crate) async fn an_uncommitted_holder_is_waited_for(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    for (commits, wanted) in [
        (
            true,
            Inserted::Duplicate {
                holder: task_id(1),
                state: State::Pending,
            },
        ),
        (false, NEW),
    ] {
        let (mut first, mut second) = (place.connect().await, place.connect().await);
        let key = format!("key {commits}");
        let mut tx = first.begin().await.unwrap();
        enlist(&store, &mut tx, vec![keyed(if commits { 1 } else { 3 }, &key)])
            .await
            .unwrap();
        let mut other = second.begin().await.unwrap();
        let mut waiting = Box::pin(enlist(
            &store,
            &mut other,
            vec![keyed(if commits { 2 } else { 4 }, &key)],
        ));
        for _ in 0..100 {
            assert!(
                (&mut waiting).now_or_never().is_none(),
                "the key is taken by nobody for certain"
            );
            tokio::task::yield_now().await;
        }
        if commits {
            tx.commit().await.unwrap()
        } else {
            tx.rollback().await.unwrap()
        }
        assert_eq!(waiting.await.unwrap(), [wanted]);
        other.commit().await.unwrap();
    }
}

pub(crate) async fn every_kind_of_connection_enlists(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let pool = MySqlPoolOptions::new()
        .max_connections(1)
        .connect(&place.url())
        .await
        .unwrap();
    let mut tx = pool.begin().await.unwrap();
    enlist(&store, &mut tx, tasks(1..2)).await.unwrap();
    tx.commit().await.unwrap();
    let mut pooled = pool.acquire().await.unwrap();
    run(&mut pooled, "START TRANSACTION").await;
    enlist(&store, &mut pooled, tasks(2..3)).await.unwrap();
    run(&mut pooled, "COMMIT").await;
    let mut conn: MySqlConnection = place.connect().await;
    run(&mut conn, "START TRANSACTION").await;
    enlist(&store, &mut conn, tasks(3..4)).await.unwrap();
    // A transaction may be at work in another database of the server.
    run(&mut conn, "USE information_schema").await;
    enlist(&store, &mut conn, tasks(4..5)).await.unwrap();
    run(&mut conn, "COMMIT").await;
    for n in 1..5 {
        assert!(is_there(&store, n).await, "task {n}");
    }
}

/// Nor need it be at work in any: a server refuses some statements there, though their tables are named in full.
pub(crate) async fn a_connection_without_a_database_enlists(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let large = |n, length: usize| {
        let mut new = keyed(n, "k");
        new.payload = Payload::encode(&"x".repeat(length)).unwrap();
        if let Some(unique) = &mut new.unique {
            unique.on_duplicate = OnDuplicate::Replace {
                payload: true,
                run_at: true,
            };
        }
        new
    };
    let url = place.url();
    let (path, options) = url.split_once('?').unwrap_or((&url, ""));
    let (server, _) = path.rsplit_once('/').unwrap();
    let mut conn = MySqlConnection::connect(&format!("{server}/?{options}"))
        .await
        .unwrap();
    run(&mut conn, "START TRANSACTION").await;
    for (n, length) in [(1, 5_000), (2, 6_000), (3, 10)] {
        enlist(&store, &mut conn, vec![task(100 + n), large(n, length)])
            .await
            .unwrap();
    }
    run(&mut conn, "COMMIT").await;
    let detail = store.get(task_id(1)).await.unwrap().unwrap();
    assert_eq!(detail.payload.len(), 12);
    assert!(is_there(&store, 103).await);
}

pub(crate) async fn a_connection_without_a_transaction_is_refused(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let mut conn = place.connect().await;
    let error = enlist(&store, &mut conn, tasks(1..2)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty()),
        (StoreErrorKind::Invalid, Certainty::Rejected)
    );
    assert!(error.to_string().contains("begin one"), "{error}");
    assert!(!is_there(&store, 1).await);
    conn.ping().await.unwrap();
}

pub(crate) async fn another_character_set_changes_nothing(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let mut conn = place.connect().await;
    run(&mut conn, "SET NAMES latin1").await;
    let mut new = keyed(1, "Zoë 🎉 ");
    new.payload = Payload::from_json(" {\"a\" : \"é🎉\"}\n").unwrap();
    let mut tx = conn.begin().await.unwrap();
    enlist(&store, &mut tx, vec![new.clone()]).await.unwrap();
    let again = enlist(
        &store,
        &mut tx,
        vec![keyed(2, "Zoë 🎉 "), keyed(3, "Zoë 🎉"), keyed(4, "zoë 🎉 ")],
    )
    .await
    .unwrap();
    assert_eq!(
        again,
        [
            Inserted::Duplicate {
                holder: task_id(1),
                state: State::Pending
            },
            NEW,
            NEW
        ]
    );
    tx.commit().await.unwrap();
    let detail = store.get(task_id(1)).await.unwrap().unwrap();
    assert_eq!(detail.payload, new.payload);
    assert_eq!(detail.task.unique.unwrap().0, UniqueKey::new("Zoë 🎉 ").unwrap());
}

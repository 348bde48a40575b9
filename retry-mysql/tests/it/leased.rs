//! Tasks born leased inside a transaction of the user's own, and the client's transactions.

use std::sync::Arc;

use retry_core::client::{Client, Error};
use retry_core::draft::TaskPayload;
use retry_core::engine::Worker;
use retry_core::executor::State;
use retry_core::store::{
    Begin as _, Cause, Certainty, CountScope, Enlist as _, ExpiredRequest, Inserted, Renewed, TaskStore as _,
    Transact as _,
};
use retry_core::task::{NewTask, State as TaskState};
use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::{Connection as _, MySqlPool};
use test_servers::Shared;
use tokio::sync::mpsc;

use crate::support::{FAR, NOW, Place, fresh, number, session, task, task_id};

#[derive(Serialize, Deserialize)]
struct Ship {
    order: u64,
}

impl TaskPayload for Ship {
    const KIND: &'static str = "ship";
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn ship(task: Ship, State(shipped): State<mpsc::Sender<u64>>) -> Result<(), AnyError> {
    Ok(shipped.send(task.order).await?)
}

async fn pool(place: &Place) -> MySqlPool {
    let pool = MySqlPoolOptions::new().max_connections(2);
    let pool = pool.connect(&place.url()).await.unwrap();
    sqlx::raw_sql("CREATE TABLE orders (id INT PRIMARY KEY) ENGINE = InnoDB")
        .execute(&pool)
        .await
        .unwrap();
    pool
}

pub(crate) async fn a_commit_that_stores_nothing_is_an_error(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let pool = pool(&place).await;
    let client = Client::new(store.clone());
    let rolled_back: Result<(), AnyError> = client
        .transaction(&pool, async |tx| {
            tx.enqueue(Ship { order: 5 }).await?;
            // As a deadlock does whose error is passed over.
            sqlx::raw_sql("ROLLBACK").execute(&mut **tx).await?;
            Ok(())
        })
        .await;
    let told = rolled_back.unwrap_err().to_string();
    assert!(told.contains("rolled it back"), "{told}");
    // A statement that commits what came before it looks the same, and what it committed is there.
    let pool = &pool;
    let mut tx = store.begin(pool).await.unwrap();
    let made = format!("CREATE TABLE {}.made (n INT)", place.name);
    sqlx::raw_sql(sqlx::AssertSqlSafe(made))
        .execute(&mut *tx)
        .await
        .unwrap();
    let error = store.commit(tx).await.unwrap_err();
    assert_eq!(error.certainty(), Certainty::Unknown, "{error}");
    assert!(error.to_string().contains("CREATE TABLE"), "{error}");
    let scope = CountScope {
        queue: None,
        exact: true,
    };
    let counts = store.count(&scope).await.unwrap();
    assert_eq!(counts.counts.values().map(|count| count.get()).sum::<u64>(), 0);
}

pub(crate) async fn a_transaction_of_the_client_runs_what_it_commits(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let pool = pool(&place).await;
    let (shipped, mut ships) = mpsc::channel::<u64>(16);
    let client = Client::new(store.clone());
    let worker = Worker::builder(&client)
        .handler(ship)
        .state(shipped)
        .concurrency(2);
    let handle = worker.build().unwrap().start();
    handle.ready().await;
    let client = client.attach(&handle);
    let ordered = client
        .transaction(&pool, async |tx| {
            sqlx::query("INSERT INTO orders VALUES (1)")
                .execute(&mut **tx)
                .await?;
            // A savepoint of the user's takes its task along, and no second look is needed for the other one.
            let mut savepoint = tx.begin().await?;
            let lost = client
                .enqueue(Ship { order: 2 })
                .in_tx_leased(&mut savepoint)
                .await?;
            savepoint.rollback().await?;
            tx.after_commit(lost.1);
            Ok::<_, AnyError>(tx.enqueue(Ship { order: 1 }).await?)
        })
        .await
        .unwrap();
    assert_eq!(ordered.inserted, Inserted::New { leased: true });
    assert_eq!(ships.recv().await, Some(1));
    let failed: Result<(), AnyError> = client
        .transaction(&pool, async |tx| {
            sqlx::query("INSERT INTO orders VALUES (3)")
                .execute(&mut **tx)
                .await?;
            tx.enqueue(Ship { order: 3 }).await?;
            Err("no stock".into())
        })
        .await;
    assert_eq!(failed.unwrap_err().to_string(), "no stock");
    let refused = client
        .transaction(&pool, async |tx| tx.enqueue(Ship { order: 4 }).await)
        .await;
    let refused: Result<_, Error> = refused;
    assert_eq!(
        refused.unwrap().inserted,
        Inserted::New { leased: true },
        "the permits are free"
    );
    assert_eq!(ships.recv().await, Some(4), "nothing of 2 and 3");
    handle.shutdown().await;
    let mut conn = place.connect().await;
    assert_eq!(number(&mut conn, "SELECT COUNT(*) FROM orders").await, 1);
    let scope = CountScope {
        queue: None,
        exact: true,
    };
    let counts = store.count(&scope).await.unwrap();
    assert_eq!(counts.of(TaskState::Succeeded), 2);
    assert_eq!(
        counts.counts.values().map(|count| count.get()).sum::<u64>(),
        2,
        "1 and 4"
    );
}

pub(crate) async fn an_open_transaction_keeps_nobody_from_its_session(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let session = session(&store, 1).await;
    let mut conn = place.connect().await;
    let mut tx = conn.begin().await.unwrap();
    let born = NewTask {
        leased_by: Some(session),
        ..task(1)
    };
    let inserted = store.enlist(&mut tx, Ok(vec![born]), NOW, |answer| answer).await;
    assert_eq!(inserted.unwrap(), [Inserted::New { leased: true }]);
    // Each of these would wait for the transaction if the insert had locked the session.
    let renewed = store.renew(session, FAR, NOW).await.unwrap();
    assert!(
        matches!(renewed, Renewed::Live { held: 0, .. }),
        "not committed: {renewed:?}"
    );
    store.close_session(session).await.unwrap();
    tx.commit().await.unwrap();
    let request = ExpiredRequest {
        mark: false,
        after: None,
        limit: 10,
    };
    let expired = store.expired(&request, NOW).await.unwrap();
    let reported: Vec<_> = expired
        .items
        .iter()
        .map(|(task, cause)| (task.id, *cause))
        .collect();
    assert_eq!(
        reported,
        [(task_id(1), Cause::SessionLost)],
        "born under a session that is gone"
    );
}

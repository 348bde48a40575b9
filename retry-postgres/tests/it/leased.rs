//! Tasks born leased inside a transaction of the user's own, and the client's transactions.

use std::sync::Arc;

use retry_core::client::{Client, Error};
use retry_core::draft::TaskPayload;
use retry_core::engine::Worker;
use retry_core::executor::State;
use retry_core::store::{Cause, CountScope, Enlist as _, ExpiredRequest, Inserted, Renewed, TaskStore as _};
use retry_core::task::{NewTask, State as TaskState};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgPool};
use tokio::sync::mpsc;

use crate::Test;
use crate::support::{Env, FAR, NOW, block_on, number, session, task, task_id};

pub(crate) const TESTS: &[(&str, Test)] = &[
    (
        "leased::a_transaction_of_the_client_runs_what_it_commits",
        a_transaction_of_the_client_runs_what_it_commits,
    ),
    (
        "leased::a_commit_that_stores_nothing_is_an_error",
        a_commit_that_stores_nothing_is_an_error,
    ),
    (
        "leased::an_open_transaction_keeps_nobody_from_its_session",
        an_open_transaction_keeps_nobody_from_its_session,
    ),
];

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

async fn pool(env: &Env, schema: &str) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(2);
    let pool = pool.connect(&env.url).await.unwrap();
    let create = format!("CREATE TABLE {schema}.orders (id INT PRIMARY KEY)");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&pool).await.unwrap();
    pool
}

/// The server answers the commit of an aborted transaction with a rollback, and no error.
fn a_commit_that_stores_nothing_is_an_error(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let pool = pool(&env, &schema).await;
        let client = Client::new(store.clone());
        let passed_over: Result<(), AnyError> = client
            .transaction(&pool, async |tx| {
                tx.enqueue(Ship { order: 5 }).await?;
                let missing = sqlx::query("SELECT * FROM no_such_table")
                    .execute(&mut **tx)
                    .await;
                assert!(missing.is_err());
                Ok(())
            })
            .await;
        let told = passed_over.unwrap_err().to_string();
        assert!(told.contains("nothing of it is stored"), "{told}");
        let scope = CountScope {
            queue: None,
            exact: true,
        };
        let counts = store.count(&scope).await.unwrap();
        assert_eq!(counts.counts.values().map(|count| count.get()).sum::<u64>(), 0);
    });
}

fn a_transaction_of_the_client_runs_what_it_commits(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let pool = pool(&env, &schema).await;
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
                sqlx::query(AssertSqlSafe(format!("INSERT INTO {schema}.orders VALUES (1)")))
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
                sqlx::query(AssertSqlSafe(format!("INSERT INTO {schema}.orders VALUES (3)")))
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
        let mut conn = env.beside().await;
        assert_eq!(
            number(&mut conn, format!("SELECT count(*) FROM {schema}.orders")).await,
            1
        );
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
    });
}

fn an_open_transaction_keeps_nobody_from_its_session(env: Arc<Env>) {
    block_on(async move {
        let (store, _) = env.fresh().await;
        let info = session(1);
        let session = info.id;
        store.open_session(&info, FAR, NOW).await.unwrap();
        let mut conn = env.beside().await;
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
    });
}

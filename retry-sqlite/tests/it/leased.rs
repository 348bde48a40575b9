//! Tasks born leased inside a transaction, on the store's connection and on one of the user's own.

use retry_core::client::{Client, RunAfterCommit};
use retry_core::draft::TaskPayload;
use retry_core::engine::{Worker, WorkerHandle};
use retry_core::executor::State;
use retry_core::store::{CountScope, Inserted, TaskStore as _};
use retry_core::task::State as TaskState;
use retry_sqlite::SqliteStore;
use rusqlite::TransactionBehavior;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::support::{beside, count, place};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Serialize, Deserialize)]
struct Ship {
    order: u64,
}

impl TaskPayload for Ship {
    const KIND: &'static str = "ship";
}

async fn ship(task: Ship, State(shipped): State<mpsc::Sender<u64>>) -> Result<(), AnyError> {
    Ok(shipped.send(task.order).await?)
}

struct Shop {
    _dir: tempfile::TempDir,
    store: SqliteStore,
    client: Client<SqliteStore>,
    handle: WorkerHandle,
    ships: mpsc::Receiver<u64>,
}

/// A store with a worker of two permits, and a client attached to it.
async fn shop() -> Shop {
    let (dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    beside(&store)
        .execute_batch("CREATE TABLE mine (n INTEGER)")
        .unwrap();
    let (shipped, ships) = mpsc::channel(16);
    let client = Client::new(store.clone());
    let worker = Worker::builder(&client)
        .handler(ship)
        .state(shipped)
        .concurrency(2);
    let handle = worker.build().unwrap().start();
    handle.ready().await;
    let client = client.attach(&handle);
    Shop {
        _dir: dir,
        store,
        client,
        handle,
        ships,
    }
}

/// How many have succeeded, and how many there are.
async fn succeeded(store: &SqliteStore) -> (u64, u64) {
    let scope = CountScope {
        queue: None,
        exact: true,
    };
    let counts = store.count(&scope).await.unwrap();
    let all = counts.counts.values().map(|count| count.get()).sum();
    (counts.of(TaskState::Succeeded), all)
}

#[tokio::test]
async fn a_transaction_of_the_client_runs_what_it_commits() {
    let mut shop = shop().await;
    let ordered = shop
        .client
        .transaction_blocking(|tx| {
            tx.execute("INSERT INTO mine VALUES (1)", [])?;
            let ordered = tx.enqueue(Ship { order: 1 })?;
            // A savepoint inside, which takes its task along.
            tx.execute_batch("SAVEPOINT mine")?;
            tx.enqueue(Ship { order: 2 })?;
            tx.execute_batch("ROLLBACK TO mine; RELEASE mine")?;
            Ok::<_, AnyError>(ordered)
        })
        .await
        .unwrap();
    assert_eq!(ordered.inserted, Inserted::New { leased: true });
    assert_eq!(shop.ships.recv().await, Some(1));
    let failed: Result<(), AnyError> = shop
        .client
        .transaction_blocking(|tx| {
            tx.execute("INSERT INTO mine VALUES (3)", [])?;
            tx.enqueue(Ship { order: 3 })?;
            Err("no stock".into())
        })
        .await;
    assert_eq!(failed.unwrap_err().to_string(), "no stock");
    let next = shop.client.enqueue(Ship { order: 4 }).run_here().await.unwrap();
    assert_eq!(
        next.inserted,
        Inserted::New { leased: true },
        "the permits are free"
    );
    assert_eq!(shop.ships.recv().await, Some(4), "nothing of 2 and 3");
    shop.handle.shutdown().await;
    assert_eq!(count(&beside(&shop.store), "mine"), 1);
    assert_eq!(succeeded(&shop.store).await, (2, 2));
}

#[tokio::test]
async fn a_connection_of_the_users_own_joins() {
    let mut shop = shop().await;
    let mut conn = beside(&shop.store);
    let enlist = |conn: &rusqlite::Connection, order| -> RunAfterCommit {
        let (enqueued, run) = shop.client.enqueue(Ship { order }).in_tx_leased(conn).unwrap();
        assert_eq!(enqueued.inserted, Inserted::New { leased: true });
        run
    };
    // As the store's own error says: one that begins by reading may meet the worker's write, and never gets the lock.
    let mut tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let kept = enlist(&tx, 1);
    let mut savepoint = tx.savepoint().unwrap();
    let lost = enlist(&savepoint, 2);
    savepoint.rollback().unwrap();
    drop(savepoint);
    tx.commit().unwrap();
    lost.committed();
    kept.committed();
    assert_eq!(shop.ships.recv().await, Some(1));

    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let (_, undone) = shop.client.enqueue(Ship { order: 3 }).in_tx_leased(&tx).unwrap();
    tx.rollback().unwrap();
    drop(undone);
    // The worker still looks for task 2, and ends task 1: their places are free in a moment.
    loop {
        let tx = conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        let tried = [4, 5].map(|order| shop.client.enqueue(Ship { order }).in_tx_leased(&tx).unwrap().1);
        tx.rollback().unwrap();
        if tried.iter().all(RunAfterCommit::is_leased) {
            break;
        }
        tokio::task::yield_now().await;
    }
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let runs = [4, 5].map(|order| shop.client.enqueue(Ship { order }).in_tx_leased(&tx).unwrap().1);
    let (third, waits) = shop.client.enqueue(Ship { order: 6 }).in_tx_leased(&tx).unwrap();
    assert_eq!(third.inserted, Inserted::New { leased: false }, "two permits");
    tx.commit().unwrap();
    assert!(runs.iter().all(RunAfterCommit::is_leased) && !waits.is_leased());
    runs.into_iter().for_each(RunAfterCommit::committed);
    waits.committed();
    let mut shipped = [0; 3];
    for order in &mut shipped {
        *order = shop.ships.recv().await.unwrap();
    }
    shipped.sort_unstable();
    assert_eq!(shipped, [4, 5, 6]);
    shop.handle.shutdown().await;
}

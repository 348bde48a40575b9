//! Calls that are dropped at random moments: no transaction stays open, and no connection is left in the middle of an answer.

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt as _;
use retry_core::store::{
    Begin as _, Enlist as _, Page, Result, TaskFilter, TaskStore as _, TaskStoreExt as _,
};
use sqlx::Connection as _;
use sqlx::mysql::MySqlPoolOptions;
use test_servers::Shared;

use crate::innodb::transactions;
use crate::support::{FAR, NOW, fresh, number, random, request, run, session, success, task, tasks, until};

/// How many calls are dropped.
const CALLS: u64 = 600;

/// How often a test looks whether a transaction is still open.
const LOOKS: usize = 10_000;

/// Polls a call so often, then drops it.
async fn poll_and_drop(call: impl Future, polls: u64) {
    let mut call = Box::pin(call);
    for _ in 0..polls {
        if (&mut call).now_or_never().is_some() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn no_transaction_is_left_open(server: Arc<Shared>) {
    let (place, _) = fresh(&server).await;
    let store = place.builder().connections(3).connect().await.unwrap();
    store.insert(&tasks(1..900), NOW).await.unwrap();
    let session = session(&store, 1).await;
    let mut seed = 7;
    for n in 0..CALLS {
        let polls = random(&mut seed) % 40;
        let first = 10_000 + n * 10;
        match n % 7 {
            0 => poll_and_drop(store.insert(&tasks(first..first + 5), NOW), polls).await,
            1 => poll_and_drop(store.claim(request(session, 3), NOW), polls).await,
            2 => {
                if let Some(claimed) = store.claim(request(session, 1), NOW).await.unwrap().tasks.first() {
                    poll_and_drop(store.apply(success(claimed, n + 1), NOW), polls).await;
                }
            }
            3 => poll_and_drop(store.renew(session, FAR, NOW), polls).await,
            4 => poll_and_drop(store.list(&TaskFilter::default(), &Page::first(20)), polls).await,
            5 => poll_and_drop(store.purge(NOW, 10), polls).await,
            _ => poll_and_drop(store.sessions(), polls).await,
        }
    }
    let mut conn = place.connect().await;
    // What was dropped goes on to its end; what is left open then stays.
    let mut open = Vec::new();
    for _ in 0..LOOKS {
        open = transactions(&mut conn, &place.name).await;
        if open.is_empty() {
            break;
        }
    }
    assert_eq!(open, []);
    // Every connection of the pool still works, one after the other and all at once.
    let again: Vec<_> = (0..12u64)
        .map(|n| store.insert_one(task(900_000 + n), NOW))
        .collect();
    for answer in futures_util::future::join_all(again).await {
        answer.unwrap();
    }
}

pub(crate) async fn a_dropped_in_tx_leaves_the_pool_clean(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let pool = MySqlPoolOptions::new()
        .max_connections(1)
        .connect(&place.url())
        .await
        .unwrap();
    let mut conn = place.connect().await;
    run(&mut conn, "CREATE TABLE probe (n BIGINT) ENGINE = InnoDB").await;
    let mut seed = 11;
    for n in 0..200 {
        // The driver gives a connection back inside a transaction when its own `begin` is dropped; the store's is not the driver's.
        let call = async {
            let mut tx = store.begin(&pool).await.unwrap();
            let new = Ok(tasks(n * 10..n * 10 + 3));
            store.enlist(&mut *tx, new, NOW, |answer: Result<_>| answer).await
        };
        poll_and_drop(call, random(&mut seed) % 16).await;
        // Who has the connection next commits by itself.
        sqlx::query("INSERT INTO probe VALUES (?)")
            .bind(n)
            .execute(&pool)
            .await
            .unwrap();
        let seen = format!("SELECT COUNT(*) FROM probe WHERE n = {n}");
        assert_eq!(number(&mut conn, &seen).await, 1, "round {n}");
    }
    let clean = async || {
        // Taking a connection sends the rollback that its drop has left to do.
        for _ in 0..2 {
            if let Ok(mut conn) = pool.acquire().await {
                let _ = conn.ping().await;
            }
        }
    };
    let mut open = Vec::new();
    for _ in 0..LOOKS {
        clean().await;
        open = transactions(&mut conn, &place.name).await;
        if open.is_empty() {
            break;
        }
    }
    assert_eq!(open, []);
    let listed = store
        .list(&TaskFilter::default(), &Page::first(10))
        .await
        .unwrap();
    assert!(
        listed.tasks.is_empty() && listed.bad.is_empty(),
        "nothing was committed"
    );
    until("the pool works", || async { pool.begin().await.is_ok() }).await;
}

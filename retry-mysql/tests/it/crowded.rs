//! Too few connections: in the store's own pools, in the user's pool, at the server. Each is named, and none is an outage.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use retry_core::clock::{Clock as _, ManualClock};
use retry_core::store::{
    Begin as _, Certainty, Inserted, StoreError, StoreErrorKind, TaskStore as _, TaskStoreExt as _,
};
use retry_mysql::{MySqlBuilder, MySqlStore};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::{Connection as _, MySqlConnection};
use test_servers::{Server, Shared};

use crate::support::{NOW, Place, fresh, run, task, until};

/// How long a call waits for a connection here.
const WAIT: Duration = Duration::from_secs(10);

/// How long a call may take that has one.
const CALL: Duration = Duration::from_hours(1);

fn assert_busy(error: &StoreError, words: &[&str]) {
    let kind = (error.kind(), error.certainty(), error.is_retryable());
    assert_eq!(kind, (StoreErrorKind::Busy, Certainty::Rejected, true), "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{error}");
    }
}

async fn refusal(builder: MySqlBuilder) -> StoreError {
    StoreError::from(builder.connect().await.expect_err("the server takes nobody"))
}

/// Waits until the next thing that the clock would wake is due after `span`.
async fn sleeper(clock: &ManualClock, span: Duration) {
    let due = clock.monotonic() + span;
    until("a call waits", || async { clock.next_deadline() == Some(due) }).await;
}

pub(crate) async fn a_call_without_a_free_connection_is_busy(server: Arc<Shared>) {
    let (place, _) = fresh(&server).await;
    let clock = ManualClock::new();
    let store = place.builder().connections(1).readers(1).connect_timeout(WAIT);
    let store = store.call_timeout(CALL).lock_timeout(Duration::from_mins(1));
    let store = store.poll_interval(None).clock(Arc::new(clock.clone()));
    let store = store.connect().await.unwrap();
    let mut conn = place.connect().await;
    // Whoever has the connection waits for the tables.
    run(&mut conn, "LOCK TABLES retry_task WRITE, retry_paused WRITE").await;
    let write = |n| {
        let store = store.clone();
        tokio::spawn(async move { store.insert_one(task(n), NOW).await })
    };
    let has_it = write(1);
    sleeper(&clock, CALL).await;
    let waits = write(2);
    sleeper(&clock, WAIT).await;
    clock.advance(WAIT);
    let error = waits.await.unwrap().unwrap_err();
    assert_busy(
        &error,
        &[
            &place.name,
            "all 1 connections for writing",
            "raise `connections`",
        ],
    );
    run(&mut conn, "UNLOCK TABLES").await;
    let new = Inserted::New { leased: false };
    assert_eq!(has_it.await.unwrap().unwrap(), new);
    assert_eq!(store.insert_one(task(2), NOW).await.unwrap(), new);

    run(&mut conn, "LOCK TABLES retry_task WRITE, retry_paused WRITE").await;
    let read = || {
        let store = store.clone();
        tokio::spawn(async move { store.queues().await })
    };
    let has_it = read();
    sleeper(&clock, CALL).await;
    let waits = read();
    sleeper(&clock, WAIT).await;
    clock.advance(WAIT);
    assert_busy(
        &waits.await.unwrap().unwrap_err(),
        &["all 1 connections for reading", "raise `readers`"],
    );
    run(&mut conn, "UNLOCK TABLES").await;
    has_it.await.unwrap().unwrap();
}

/// It takes the connection and says nothing: that is the server's fault, and no option of the store's mends it.
pub(crate) async fn a_server_that_does_not_answer_a_connect_is_unavailable() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://u:p@{}/shop", mute.local_addr().unwrap());
    let clock = ManualClock::new();
    let builder = MySqlStore::builder(&url)
        .connect_timeout(WAIT)
        .clock(Arc::new(clock.clone()));
    let opening = tokio::spawn(refusal(builder));
    // A free place in the pool is waited for as long, however short that takes: its time may be the first to be seen.
    until("it is given up", || async {
        if clock.next_deadline().is_some() {
            clock.advance(WAIT);
        }
        opening.is_finished()
    })
    .await;
    let error = opening.await.unwrap();
    assert_eq!(
        (error.kind(), error.certainty()),
        (StoreErrorKind::Unavailable, Certainty::Rejected),
        "{error}"
    );
    assert!(error.to_string().contains("did not answer in time"), "{error}");
}

pub(crate) async fn a_pool_of_the_users_that_is_in_use_is_busy(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let pool = MySqlPoolOptions::new().max_connections(1);
    let pool = pool.acquire_timeout(Duration::from_millis(50));
    let pool = pool.connect_lazy(&place.url()).unwrap();
    let mut conn = pool.acquire().await;
    while conn.is_err() {
        // A busy machine may be slower than that.
        conn = pool.acquire().await;
    }
    let error = store.begin(&pool).await.unwrap_err();
    assert_busy(&error, &[&place.name, "your pool", "max_connections"]);
}

/// The server's own limits: of all connections, and of a user's.
pub(crate) async fn a_server_without_a_connection_left_is_busy(server: Arc<Server>) {
    let (place, store) = fresh(&server).await;
    let mut conn = place.connect().await;
    let few = "CREATE USER few IDENTIFIED BY 'few' WITH MAX_USER_CONNECTIONS 1; GRANT ALL ON *.* TO few";
    run(&mut conn, few).await;
    let url = place.url().replace("retry:retry", "few:few");
    let mine = MySqlConnection::connect(&url).await.unwrap();
    let error = refusal(MySqlStore::builder(&url)).await;
    assert_busy(&error, &[&place.name, "max_user_connections"]);
    mine.close().await.unwrap();

    let crowd = crowd(&place).await;
    let error = refusal(place.builder()).await;
    assert_busy(&error, &[&place.name, "max_connections"]);
    drop(crowd);
    // The server notices a moment later that they are gone.
    until("there is room again", || async {
        match place.builder().connect().await {
            Ok(_) => true,
            Err(error) => {
                assert_busy(&StoreError::from(error), &["max_connections"]);
                false
            }
        }
    })
    .await;
    store.insert_one(task(1), NOW).await.unwrap();
}

/// As many connections as the server takes.
async fn crowd(place: &Place) -> Vec<MySqlConnection> {
    let mut crowd = Vec::new();
    while let Ok(conn) = MySqlConnection::connect(&place.url()).await {
        crowd.push(conn);
    }
    crowd
}

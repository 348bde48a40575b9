//! Futures that are dropped at any poll leave no open transaction and no connection that others cannot use.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use retry_core::name::Queue;
use retry_core::seams::{Random as _, SeededRandom};
use retry_core::store::{
    Begin as _, CountScope, ExpiredRequest, QueueSetting, TaskStore as _, Transact as _,
};
use retry_core::task::State;
use retry_postgres::PostgresStore;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPoolOptions;
use test_servers::Address;

use crate::Test;
use crate::support::{
    Env, FAR, NOW, block_on, claimed, execute, keyed, number, request, session, success, task, task_id,
    until, waits,
};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("dropped::nothing_stays_open", nothing_stays_open),
    (
        "dropped::a_dropped_begin_leaves_the_users_pool_clean",
        a_dropped_begin_leaves_the_users_pool_clean,
    ),
    (
        "dropped::a_slow_call_is_done_or_undone",
        a_slow_call_is_done_or_undone,
    ),
    (
        "dropped::callers_that_stop_leave_connections_to_others",
        callers_that_stop_leave_connections_to_others,
    ),
];

/// Calls that are made.
const CALLS: u64 = 600;

/// A caller may be busy with something else and not look after its call for a while.
fn callers_that_stop_leave_connections_to_others(env: Arc<Env>) {
    block_on(async move {
        let (_, schema) = env.fresh().await;
        let builder = PostgresStore::builder(&env.url).schema(&schema);
        let store = builder.max_connections(4).connect().await.unwrap();
        let tasks: Vec<_> = (0..8).map(|n| [task(n)]).collect();
        let mut calls: Vec<_> = tasks.iter().map(|task| store.insert(task, NOW)).collect();
        calls.retain_mut(|call| {
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            polled.is_pending()
        });
        for n in 8..12 {
            store.insert(&[task(n)], NOW).await.unwrap();
        }
        for call in calls {
            call.await.unwrap();
        }
        let counts = store.count(&CountScope::default()).await.unwrap();
        assert_eq!(counts.of(State::Pending), 12);
    });
}

/// Polls a future some times, letting the store's own tasks get on in between, then drops it.
async fn poll_and_drop<T>(future: impl Future<Output = T>, polls: u64) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
        {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn some_call(store: &PostgresStore, n: u64, polls: u64) {
    let session = session(7);
    let queue = Queue::new("other").unwrap();
    match n % 8 {
        0 => poll_and_drop(store.insert(&[task(n)], NOW), polls).await,
        1 => {
            poll_and_drop(
                store.insert(&[keyed(n, "one"), keyed(n + CALLS, "one")], NOW),
                polls,
            )
            .await
        }
        2 => poll_and_drop(store.exchange(&[], &[request(&session, 3)], NOW), polls).await,
        3 => poll_and_drop(store.purge(FAR, 10), polls).await,
        4 => {
            let scope = CountScope {
                exact: true,
                ..CountScope::default()
            };
            poll_and_drop(store.count(&scope), polls).await;
        }
        5 => {
            let asked = ExpiredRequest {
                mark: true,
                after: None,
                limit: 10,
            };
            poll_and_drop(store.expired(&asked, NOW), polls).await;
        }
        6 => poll_and_drop(store.set_queue(&queue, QueueSetting::Pause), polls).await,
        _ => poll_and_drop(store.renew(session.id, FAR, NOW), polls).await,
    }
}

fn nothing_stays_open(env: Arc<Env>) {
    block_on(async move {
        // Its connections are known by their name, whatever they do.
        let (_, schema) = env.builder();
        let named = Address::of(&env.url).option(&format!("application_name={schema}"));
        let builder = PostgresStore::builder(&named.to_string()).schema(&schema);
        let store = builder.max_connections(3).connect().await.unwrap();
        store.open_session(&session(7), FAR, NOW).await.unwrap();
        let random = SeededRandom::new(4_385);
        for n in 0..CALLS {
            some_call(&store, n, random.next_u64() % 9).await;
        }
        // Every connection in use at once: each is outside a transaction, or these would fail or see old data.
        let mut conn = env.beside().await;
        for n in 0..30 {
            let id = 10 * CALLS + n;
            let inserted = store
                .insert(&[keyed(id, &format!("after {n}"))], NOW)
                .await
                .unwrap();
            assert_eq!(inserted.len(), 1);
            let seen = number(
                &mut conn,
                format!("SELECT count(*) FROM {schema}.task WHERE id = '{}'", task_id(id)),
            )
            .await;
            assert_eq!(seen, 1, "a commit that others see");
        }
        // The last dropped calls may still be at work; none may stay.
        let named = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{schema}'");
        assert!(number(&mut conn, named.clone()).await > 0, "they are found");
        until(
            &mut conn,
            format!("{named} AND xact_start IS NOT NULL"),
            |transactions| transactions == 0,
        )
        .await;
        let bodies = format!(
            "SELECT count(*) FROM {schema}.task FULL JOIN {schema}.body USING (id) \
                              WHERE task.version IS NULL OR body.payload IS NULL"
        );
        assert_eq!(number(&mut conn, bodies).await, 0, "half a task");
    });
}

/// The driver gives a connection back inside a transaction when its own `begin` is dropped before the answer.
fn a_dropped_begin_leaves_the_users_pool_clean(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let named = Address::of(&env.url).option(&format!("application_name=begin_{schema}"));
        let options = PgPoolOptions::new().max_connections(1);
        let pool = options.connect(&named.to_string()).await.unwrap();
        let mut conn = env.beside().await;
        execute(&mut conn, format!("CREATE TABLE {schema}.probe (n bigint)")).await;
        let random = SeededRandom::new(83);
        for n in 0..CALLS {
            let begun = async {
                let mut tx = store.begin(&pool).await.unwrap();
                store.insert_in(&mut tx, Ok(vec![task(n)]), NOW).await.unwrap();
            };
            poll_and_drop(begun, random.next_u64() % 12).await;
            // Who has the connection next commits by itself.
            let write = format!("INSERT INTO {schema}.probe VALUES ({n})");
            sqlx::raw_sql(AssertSqlSafe(write)).execute(&pool).await.unwrap();
            let seen = format!("SELECT count(*) FROM {schema}.probe WHERE n = {n}");
            assert_eq!(number(&mut conn, seen).await, 1, "round {n}");
        }
        let open = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'begin_{schema}' AND xact_start IS NOT NULL"
        );
        until(&mut conn, open, |transactions| transactions == 0).await;
        let stored = format!("SELECT count(*) FROM {schema}.task");
        assert_eq!(number(&mut conn, stored).await, 0, "nothing was committed");
        pool.begin().await.unwrap();
    });
}

/// A call is dropped while it waits for a lock: it ends by itself, as a whole.
fn a_slow_call_is_done_or_undone(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let tasks = claimed(&store, 1..3).await;
        let mut blocker = env.beside().await;
        execute(
            &mut blocker,
            format!("BEGIN; SELECT 1 FROM {schema}.task FOR UPDATE"),
        )
        .await;
        let edits: Vec<_> = tasks.iter().map(success).collect();
        let mut conn = env.beside().await;
        tokio::select! {
            answer = store.exchange(&edits, &[], NOW) => panic!("it passed the lock: {answer:?}"),
            () = until(&mut conn, waits(&schema), |calls| calls > 0) => {}
        }
        execute(&mut blocker, "COMMIT").await;
        let again = store.exchange(&edits, &[], NOW).await.unwrap().applied;
        let ended = format!("SELECT count(*) FROM {schema}.task WHERE state = 4 AND version = 2");
        assert_eq!(number(&mut conn, ended).await, 2, "{again:?}");
    });
}

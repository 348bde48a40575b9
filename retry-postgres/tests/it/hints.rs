//! Hints between processes: they come, not too often, and never keep anybody waiting.

use std::sync::Arc;

use retry_core::name::Queue;
use retry_core::store::{TaskStore as _, TaskStoreExt as _};
use sqlx::PgConnection;
use sqlx::postgres::PgListener;

use crate::Test;
use crate::support::{Env, NOW, block_on, execute, number, task, task_id, until};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("hints::another_process_is_told", another_process_is_told),
    ("hints::a_burst_is_told_a_few_times", a_burst_is_told_a_few_times),
    ("hints::a_lost_listener_comes_back", a_lost_listener_comes_back),
];

/// Waits until a store listens on its schema's channel.
pub(crate) async fn await_listener(conn: &mut PgConnection, schema: &str) {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%task_retry_{schema}\"%' AND state = 'idle'"
    );
    until(conn, sql, |listeners| listeners > 0).await;
}

fn another_process_is_told(env: Arc<Env>) {
    block_on(async move {
        let (builder, schema) = env.builder();
        let store = builder.clone().connect().await.unwrap();
        let other = builder.connect().await.unwrap();
        let hints = other.watch(&[Queue::default()]);
        await_listener(&mut env.beside().await, &schema).await;
        for n in 1..4 {
            store.insert_one(task(n), NOW).await.unwrap();
            hints.next().await;
            assert!(
                other.get(task_id(n)).await.unwrap().is_some(),
                "told after the commit"
            );
        }
    });
}

/// Many commits in a row are told of at once, and then once in five milliseconds.
fn a_burst_is_told_a_few_times(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let mut listener = PgListener::connect(&env.url).await.unwrap();
        listener.listen(&format!("task_retry_{schema}")).await.unwrap();
        let began = store.time().await.unwrap();
        store.insert_one(task(0), NOW).await.unwrap();
        let first = listener.recv().await.unwrap();
        assert_eq!(first.payload(), "default");
        for n in 1..300 {
            store.insert_one(task(n), NOW).await.unwrap();
        }
        // One that comes after everything before it.
        let mut conn = env.beside().await;
        let took = store.time().await.unwrap().saturating_since(began);
        execute(&mut conn, format!("NOTIFY task_retry_{schema}, 'end'")).await;
        let mut told = 1;
        while listener.recv().await.unwrap().payload() != "end" {
            told += 1;
        }
        let allowed = took.as_millis() / 5 + 2;
        assert!(told <= allowed, "{told} times in {took:?}");
    });
}

fn a_lost_listener_comes_back(env: Arc<Env>) {
    block_on(async move {
        let (builder, schema) = env.builder();
        let store = builder.clone().connect().await.unwrap();
        let other = builder.connect().await.unwrap();
        let hints = other.watch(&[Queue::default()]);
        let mut conn = env.beside().await;
        await_listener(&mut conn, &schema).await;
        let kill = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%{schema}\"%'"
        );
        assert_eq!(number(&mut conn, kill).await, 1);
        // Told because something may have been missed.
        hints.next().await;
        await_listener(&mut conn, &schema).await;
        store.insert_one(task(1), NOW).await.unwrap();
        hints.next().await;
    });
}

//! Enqueueing inside a transaction of the user's own.

use std::sync::Arc;

use retry_core::client::Client;
use retry_core::draft::Draft;
use retry_core::payload::Payload;
use retry_core::store::{
    Certainty, Enlist as _, Inserted, Result, StoreErrorKind, TaskStore as _, TaskStoreExt as _,
};
use retry_core::task::State;
use sqlx::Connection as _;
use sqlx::postgres::PgPoolOptions;

use crate::Test;
use crate::support::{Env, NOW, block_on, execute, keyed, number, task, task_id, tasks, until, waits};

pub(crate) const TESTS: &[(&str, Test)] = &[
    (
        "in_tx::tasks_exist_when_the_transaction_commits",
        tasks_exist_when_the_transaction_commits,
    ),
    (
        "in_tx::a_savepoint_takes_its_tasks_along",
        a_savepoint_takes_its_tasks_along,
    ),
    (
        "in_tx::every_form_of_a_connection_joins",
        every_form_of_a_connection_joins,
    ),
    (
        "in_tx::a_connection_without_a_transaction_is_refused",
        a_connection_without_a_transaction_is_refused,
    ),
    (
        "in_tx::an_uncommitted_holder_is_waited_for",
        an_uncommitted_holder_is_waited_for,
    ),
    (
        "in_tx::repeatable_read_answers_or_asks_to_repeat",
        repeatable_read_answers_or_asks_to_repeat,
    ),
    (
        "in_tx::a_failed_transaction_says_so",
        a_failed_transaction_says_so,
    ),
    (
        "in_tx::a_hint_comes_with_the_commit",
        a_hint_comes_with_the_commit,
    ),
];

type Answer = Result<Vec<Inserted>>;

const NEW: Inserted = Inserted::New { leased: false };

fn same(answer: Answer) -> Answer {
    answer
}

fn tasks_exist_when_the_transaction_commits(env: Arc<Env>) {
    block_on(async move {
        let (store, _) = env.fresh().await;
        let mut conn = env.beside().await;
        let mut tx = conn.begin().await.unwrap();
        let answer = store.enlist(&mut tx, Ok(tasks(1..3)), NOW, same).await;
        assert_eq!(answer.unwrap(), [NEW, NEW]);
        assert!(store.get(task_id(1)).await.unwrap().is_none(), "not yet");
        tx.commit().await.unwrap();
        assert!(store.get(task_id(1)).await.unwrap().is_some());
        assert_eq!(store.insert_one(task(2), NOW).await.unwrap(), Inserted::Repeated);
        let mut tx = conn.begin().await.unwrap();
        store.enlist(&mut tx, Ok(tasks(3..4)), NOW, same).await.unwrap();
        tx.rollback().await.unwrap();
        assert!(store.get(task_id(3)).await.unwrap().is_none());
    });
}

fn a_savepoint_takes_its_tasks_along(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let mut conn = env.beside().await;
        let mut tx = conn.begin().await.unwrap();
        store.enlist(&mut tx, Ok(tasks(1..2)), NOW, same).await.unwrap();
        let mut savepoint = tx.begin().await.unwrap();
        let answer = store
            .enlist(&mut savepoint, Ok(vec![keyed(2, "k")]), NOW, same)
            .await;
        assert_eq!(answer.unwrap(), [NEW]);
        savepoint.rollback().await.unwrap();
        // The key is nobody's, inside the transaction and for everybody else.
        let answer = store.enlist(&mut tx, Ok(vec![keyed(3, "k")]), NOW, same).await;
        assert_eq!(answer.unwrap(), [NEW]);
        tx.commit().await.unwrap();
        let mut found = Vec::new();
        for n in 1..4 {
            found.push(store.get(task_id(n)).await.unwrap().is_some());
        }
        assert_eq!(found, [true, false, true]);
        let bodies = number(&mut conn, format!("SELECT count(*) FROM {schema}.body")).await;
        assert_eq!(bodies, 2);
    });
}

fn every_form_of_a_connection_joins(env: Arc<Env>) {
    block_on(async move {
        let (store, _) = env.fresh().await;
        let client = Client::new(store.clone());
        let draft = || Draft::raw("work", Payload::null());
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect(&env.url)
            .await
            .unwrap();
        // Another thread runs it: the reply is `Send`.
        let (enqueuing, shared) = (client.clone(), pool.clone());
        let enqueued = tokio::spawn(async move {
            let mut tx = shared.begin().await.unwrap();
            let enqueued = enqueuing.enqueue(draft()).in_tx(&mut tx).await.unwrap();
            tx.commit().await.unwrap();
            enqueued
        });
        let first = enqueued.await.unwrap();
        // A transaction that the driver knows nothing of.
        let mut pooled = pool.acquire().await.unwrap();
        execute(&mut pooled, "BEGIN").await;
        let second = client.enqueue(draft()).in_tx(&mut pooled).await.unwrap();
        let third = client.enqueue(draft()).in_tx(&mut *pooled).await.unwrap();
        assert!(store.get(second.id).await.unwrap().is_none(), "not yet");
        execute(&mut pooled, "COMMIT").await;
        for enqueued in [first, second, third] {
            assert!(store.get(enqueued.id).await.unwrap().is_some());
        }
    });
}

/// Each statement would commit by itself: then a lost answer would tell of a task that is stored that it is not.
fn a_connection_without_a_transaction_is_refused(env: Arc<Env>) {
    block_on(async move {
        let (store, _) = env.fresh().await;
        let mut conn = env.beside().await;
        let error = store
            .enlist(&mut conn, Ok(tasks(1..3)), NOW, same)
            .await
            .unwrap_err();
        assert_eq!(
            (error.certainty(), error.kind()),
            (Certainty::Rejected, StoreErrorKind::Invalid)
        );
        assert!(error.to_string().contains("begin one"), "{error}");
        assert!(store.get(task_id(1)).await.unwrap().is_none());
        // The connection is as it was.
        let mut tx = conn.begin().await.unwrap();
        let answer = store.enlist(&mut tx, Ok(tasks(1..2)), NOW, same).await;
        assert_eq!(answer.unwrap(), [NEW]);
        tx.commit().await.unwrap();
        assert!(store.get(task_id(1)).await.unwrap().is_some());
    });
}

fn an_uncommitted_holder_is_waited_for(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let (mut one, mut other) = (env.beside().await, env.beside().await);
        for (n, commits) in [(1, true), (3, false)] {
            let key = format!("k{n}");
            let mut tx = one.begin().await.unwrap();
            store
                .enlist(&mut tx, Ok(vec![keyed(n, &key)]), NOW, same)
                .await
                .unwrap();
            let (waiting, late) = (store.clone(), keyed(n + 1, &key));
            let waiting = tokio::spawn(async move { waiting.insert_one(late, NOW).await });
            until(&mut other, waits(&schema), |calls| calls > 0).await;
            assert!(!waiting.is_finished(), "the holder has not committed");
            if commits {
                tx.commit().await.unwrap();
            } else {
                tx.rollback().await.unwrap();
            }
            let duplicate = Inserted::Duplicate {
                holder: task_id(n),
                state: State::Pending,
            };
            let wanted = if commits { duplicate } else { NEW };
            assert_eq!(waiting.await.unwrap().unwrap(), wanted);
        }
    });
}

fn repeatable_read_answers_or_asks_to_repeat(env: Arc<Env>) {
    block_on(async move {
        let (store, _) = env.fresh().await;
        let mut conn = env.beside().await;
        let mut tx = conn.begin().await.unwrap();
        execute(
            &mut tx,
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1",
        )
        .await;
        store.insert_one(keyed(1, "k"), NOW).await.unwrap();
        let answer = store.enlist(&mut tx, Ok(vec![keyed(2, "k")]), NOW, same).await;
        let error = answer.unwrap_err();
        assert_eq!(
            (error.certainty(), error.kind()),
            (Certainty::Rejected, StoreErrorKind::Busy)
        );
        assert!(
            error.is_retryable() && error.to_string().contains("repeat"),
            "{error}"
        );
        tx.rollback().await.unwrap();
        let mut tx = conn.begin().await.unwrap();
        let answer = store.enlist(&mut tx, Ok(vec![keyed(2, "k")]), NOW, same).await;
        assert!(matches!(answer.unwrap()[..], [Inserted::Duplicate { .. }]));
    });
}

fn a_failed_transaction_says_so(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let mut conn = env.beside().await;
        let mut tx = conn.begin().await.unwrap();
        let wrong = sqlx::raw_sql("SELECT 1 / 0").execute(&mut *tx).await;
        assert!(wrong.is_err());
        let answer = store.enlist(&mut tx, Ok(tasks(1..2)), NOW, same).await;
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        assert!(error.to_string().contains("roll it back"), "{error}");
        tx.rollback().await.unwrap();
        env.undo(format!("DROP SCHEMA {schema}_gone CASCADE"));
        execute(
            &mut conn,
            format!("ALTER SCHEMA {schema} RENAME TO {schema}_gone"),
        )
        .await;
        let mut tx = conn.begin().await.unwrap();
        let answer = store.enlist(&mut tx, Ok(tasks(1..2)), NOW, same).await;
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Schema);
        assert!(error.to_string().contains("on their database"), "{error}");
    });
}

fn a_hint_comes_with_the_commit(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let hints = store.watch(&[retry_core::name::Queue::default()]);
        let mut conn = env.beside().await;
        crate::hints::await_listener(&mut conn, &schema).await;
        let mut tx = conn.begin().await.unwrap();
        store.enlist(&mut tx, Ok(tasks(1..2)), NOW, same).await.unwrap();
        tx.commit().await.unwrap();
        hints.next().await;
        assert!(store.get(task_id(1)).await.unwrap().is_some());
    });
}

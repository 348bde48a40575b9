//! A role with no more rights than the documentation asks for: enough for everything but migrations.

use std::sync::Arc;

use retry_core::machine::{Event, transition};
use retry_core::name::Queue;
use retry_core::store::{
    Applied, Certainty, CountScope, ExpiredRequest, Page, QueueSetting, StoreErrorKind, TaskFilter,
    TaskStore as _, TaskStoreExt as _,
};
use retry_core::task::{ErrorText, FailedAttempt};
use retry_core::time::Timestamp;
use retry_postgres::{OpenError, PostgresStore};

use crate::Test;
use crate::support::{Env, FAR, NOW, block_on, claimed, execute, request, session, success, tasks};

pub(crate) const TESTS: &[(&str, Test)] = &[
    (
        "rights::the_documented_rights_are_enough",
        the_documented_rights_are_enough,
    ),
    ("rights::migrations_need_more", migrations_need_more),
    (
        "rights::what_is_taken_away_is_not_the_requests_fault",
        what_is_taken_away_is_not_the_requests_fault,
    ),
];

/// The statements of the README, for a schema and a role.
fn grants(schema: &str, role: &str) -> String {
    let documented = include_str!("../../README.md");
    let sql = documented
        .split("```sql\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let sql = sql.expect("the README shows them").to_owned();
    assert!(
        sql.contains("GRANT") && sql.contains("task_retry") && sql.contains("shop_worker"),
        "{sql}"
    );
    sql.replace("task_retry", schema).replace("shop_worker", role)
}

fn the_documented_rights_are_enough(env: Arc<Env>) {
    block_on(async move {
        let (owner, schema) = env.fresh().await;
        let role = format!("{schema}_worker");
        let url = env.role(&role, "").await;
        execute(&mut env.beside().await, grants(&schema, &role)).await;
        for migrate in [false, true] {
            let builder = PostgresStore::builder(&url).schema(&schema).migrate(migrate);
            let store = builder
                .connect()
                .await
                .expect("tables that are there need no migration");
            everything(&store, if migrate { 100 } else { 0 }).await;
        }
        owner.purge(FAR, 1_000).await.unwrap();
    });
}

/// Every call of the contract.
async fn everything(store: &PostgresStore, from: u64) {
    let running = claimed(store, from..from + 3).await;
    let failure = FailedAttempt {
        attempt: 1,
        worker: None,
        started_at: NOW,
        ended_at: NOW,
        error: ErrorText::new("no"),
    };
    let mut failed = success(&running[0]);
    failed.action = transition(&running[0].task, Event::Fail { failure }, NOW, 0).unwrap();
    let mut followed = success(&running[1]);
    followed.insert = tasks(from + 50..from + 52);
    for edit in [failed, followed] {
        assert!(matches!(
            store.apply(edit, NOW).await.unwrap(),
            Applied::Done { .. }
        ));
    }
    let worker = session(from + 7);
    store.open_session(&worker, FAR, NOW).await.unwrap();
    store.renew(worker.id, FAR, NOW).await.unwrap();
    store.claim(request(&worker, 1), NOW).await.unwrap();
    store.close_session(worker.id).await.unwrap();
    let round = ExpiredRequest {
        mark: true,
        limit: 10,
        ..ExpiredRequest::default()
    };
    let late = Timestamp::from_millis(FAR.as_millis() + 1);
    assert!(!store.expired(&round, late).await.unwrap().items.is_empty());
    assert!(store.get(running[0].task.id).await.unwrap().is_some());
    store
        .list(&TaskFilter::default(), &Page::first(10))
        .await
        .unwrap();
    for exact in [false, true] {
        let scope = CountScope { queue: None, exact };
        store.count(&scope).await.unwrap();
    }
    for setting in [QueueSetting::Pause, QueueSetting::Resume] {
        store.set_queue(&Queue::default(), setting).await.unwrap();
    }
    assert!(!store.queues().await.unwrap().is_empty());
    assert!(!store.sessions().await.unwrap().is_empty());
    assert!(store.purge(late, 10).await.unwrap() > 0);
    store.time().await.unwrap();
    store.migrate().await.expect("there is nothing to do");
}

fn migrations_need_more(env: Arc<Env>) {
    block_on(async move {
        let (_, schema) = env.builder();
        let role = format!("{schema}_worker");
        let mut conn = env.beside().await;
        let url = env.role(&role, "").await;
        let refused = async || match PostgresStore::builder(&url).schema(&schema).connect().await {
            Err(OpenError::Store(error)) => error,
            other => panic!("{other:?}"),
        };
        let missing = refused().await;
        // A schema that is there, but in which it may make nothing.
        execute(
            &mut conn,
            format!("CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO {role}"),
        )
        .await;
        for error in [missing, refused().await] {
            assert_eq!(
                (error.certainty(), error.kind()),
                (Certainty::Rejected, StoreErrorKind::Other),
                "{error}"
            );
            assert!(error.to_string().contains("grant it the rights"), "{error}");
        }
    });
}

/// `Invalid` would say that the tasks themselves are refused: whoever hands them over would put them away for good.
fn what_is_taken_away_is_not_the_requests_fault(env: Arc<Env>) {
    block_on(async move {
        let (_, schema) = env.fresh().await;
        let role = format!("{schema}_worker");
        let mut conn = env.beside().await;
        let url = env.role(&role, "").await;
        execute(&mut conn, grants(&schema, &role)).await;
        let builder = PostgresStore::builder(&url).schema(&schema);
        let store = builder.connect().await.unwrap();
        store.insert(&tasks(0..1), NOW).await.unwrap();
        for (taken, named) in [
            (
                format!("REVOKE INSERT ON {schema}.body FROM {role}"),
                "grant it the rights",
            ),
            (
                format!(
                    "ALTER ROLE {role} NOLOGIN; \
                     SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '{role}'"
                ),
                "refused the role",
            ),
        ] {
            execute(&mut conn, taken).await;
            let refused = async || store.insert(&tasks(1..2), NOW).await.unwrap_err();
            let mut error = refused().await;
            // First the connections that were cut are used up.
            while error.kind() == StoreErrorKind::Unavailable {
                error = refused().await;
            }
            assert_eq!(error.kind(), StoreErrorKind::Other, "{error}");
            assert!(error.to_string().contains(named), "{error}");
        }
        let back = format!("ALTER ROLE {role} LOGIN; GRANT INSERT ON {schema}.body TO {role}");
        execute(&mut conn, back).await;
        store
            .insert(&tasks(1..2), NOW)
            .await
            .expect("it goes on by itself");
    });
}

//! Servers that die, connections that break, answers that are lost: what was said stays true, and what is unknown converges.

use std::sync::Arc;
use std::time::Duration;

use retry_core::clock::{Clock as _, SystemClock};
use retry_core::store::{
    Applied, Certainty, Inserted, Renewed, StoreErrorKind, TaskStore as _, TaskStoreExt as _,
};
use retry_core::task::State;
use retry_postgres::PostgresStore;
use test_servers::{Address, Fault, Kind, Proxy, Reach as _, own};

use crate::support::{
    Env, FAR, NOW, block_on, claimed, execute, keyed, number, request, session, success, task, task_id,
    tasks, until,
};
use crate::{Alone, Test};

pub(crate) const TESTS: &[(&str, Test)] = &[
    (
        "faults::a_terminated_connection_is_replaced",
        a_terminated_connection_is_replaced,
    ),
    (
        "faults::a_claim_after_a_rest_goes_out_on_a_connection_that_works",
        a_claim_after_a_rest_goes_out_on_a_connection_that_works,
    ),
    (
        "faults::a_lost_reply_is_unknown_and_converges",
        a_lost_reply_is_unknown_and_converges,
    ),
    (
        "faults::a_claim_that_fails_behind_its_commit_is_unknown",
        a_claim_that_fails_behind_its_commit_is_unknown,
    ),
    ("faults::a_lost_request_converges", a_lost_request_converges),
    (
        "faults::an_id_twice_in_one_call_is_one_write",
        an_id_twice_in_one_call_is_one_write,
    ),
];

pub(crate) const ALONE: &[(&str, Alone)] = &[
    (
        "faults::a_killed_server_loses_nothing",
        a_killed_server_loses_nothing,
    ),
    (
        "faults::a_server_that_does_not_answer_ends_the_call",
        a_server_that_does_not_answer_ends_the_call,
    ),
];

/// A store behind a proxy.
async fn proxied(env: &Env) -> (Proxy, PostgresStore, String) {
    let proxy = Proxy::before(env.socket()).unwrap();
    let url = Address::of(&env.url).at(proxy.port()).to_string();
    let (builder, schema) = env.builder();
    drop(builder);
    let store = PostgresStore::builder(&url)
        .schema(&schema)
        .connect()
        .await
        .unwrap();
    (proxy, store, schema)
}

fn a_killed_server_loses_nothing() {
    let server = own(Kind::Postgres);
    block_on(async {
        let store = PostgresStore::connect(&server.url()).await.unwrap();
        let mut answered = 0;
        for round in 0..5 {
            let writing = tokio::spawn({
                let (store, from) = (store.clone(), answered);
                async move {
                    let mut n = from;
                    while store.insert_one(task(n), NOW).await.is_ok() {
                        n += 1;
                    }
                    n
                }
            });
            // So many writes that the server is surely in the middle of one.
            while store.get(task_id(answered + 50)).await.unwrap().is_none() {}
            server.kill();
            answered = writing.await.unwrap();
            let error = store.insert(&tasks(0..1), NOW).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
            server.restart().unwrap();
            let there = store
                .insert(&tasks(answered.saturating_sub(500)..answered), NOW)
                .await
                .unwrap();
            assert!(
                there.iter().all(|answer| *answer == Inserted::Repeated),
                "round {round}: an answered insert is gone"
            );
        }
    });
}

/// A claim found a row that cannot be read, and cannot put it aside: the others are the session's all the same.
fn a_claim_that_fails_behind_its_commit_is_unknown(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        store.insert(&tasks(1..4), NOW).await.unwrap();
        let worker = session(7);
        store.open_session(&worker, FAR, NOW).await.unwrap();
        let mut conn = env.beside().await;
        let damage = format!(
            "UPDATE {schema}.body SET settings = '{{' WHERE id = '{}'",
            task_id(2)
        );
        execute(&mut conn, damage).await;
        let failed = State::Failed.code();
        let refuse = format!(
            "CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN IF NEW.state = {failed} THEN RAISE 'not now'; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER refuse BEFORE UPDATE ON {schema}.task FOR EACH ROW EXECUTE FUNCTION {schema}.refuse()"
        );
        execute(&mut conn, refuse).await;
        let error = store.claim(request(&worker, 3), NOW).await.unwrap_err();
        assert_eq!(error.certainty(), Certainty::Unknown, "{error}");
        let held = format!("SELECT count(*) FROM {schema}.task WHERE session IS NOT NULL");
        assert_eq!(number(&mut conn, held).await, 3, "they are the session's");
    });
}

/// Idle connections that the server closed cost nobody an error where nothing can have been written.
fn a_terminated_connection_is_replaced(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let mut conn = env.beside().await;
        let kill = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE pid <> pg_backend_pid() AND query LIKE '%\"{schema}\"%'"
        );
        let open = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%\"{schema}\"%'"
        );
        for n in 0..20 {
            // A transaction, which begins before it writes; and a read.
            let inserted = store.insert(&[keyed(n, &format!("k{n}"))], NOW).await.unwrap();
            assert_eq!(inserted, [Inserted::New { leased: false }]);
            assert!(store.get(task_id(n)).await.unwrap().is_some());
            number(&mut conn, kill.clone()).await;
            until(&mut conn, open.clone(), |connections| connections == 0).await;
        }
    });
}

/// What of a statement that commits by itself is unknown is not tried again, a claim least of all.
fn a_claim_after_a_rest_goes_out_on_a_connection_that_works(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let worker = session(1);
        store.open_session(&worker, FAR, NOW).await.unwrap();
        store.insert(&tasks(0..3), NOW).await.unwrap();
        let mut conn = env.beside().await;
        let named =
            format!("FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%\"{schema}\"%'");
        let clock = SystemClock::new();
        for held in 1..4 {
            let claimed = store.claim(request(&worker, 1), NOW).await.unwrap();
            assert_eq!(claimed.tasks.len(), 1);
            let renewed = store.renew(worker.id, FAR, NOW).await.unwrap();
            assert_eq!(renewed, Renewed::Live { cancel: vec![], held });
            number(
                &mut conn,
                format!("SELECT count(pg_terminate_backend(pid)) {named}"),
            )
            .await;
            until(&mut conn, format!("SELECT count(*) {named}"), |open| open == 0).await;
            // The store tells nobody that its connections have rested.
            clock
                .sleep_until(clock.monotonic() + Duration::from_millis(2_500))
                .await;
        }
    });
}

fn a_lost_reply_is_unknown_and_converges(env: Arc<Env>) {
    block_on(async move {
        let (proxy, store, _) = proxied(&env).await;
        let running = claimed(&store, 100..101).await;
        store.insert(&tasks(0..1), NOW).await.unwrap();
        proxy.set(Fault::LoseReplies);
        let error = store.insert(&tasks(1..4), NOW).await.unwrap_err();
        assert_eq!(
            (error.certainty(), error.kind()),
            (Certainty::Unknown, StoreErrorKind::Unavailable)
        );
        proxy.set(Fault::None);
        let again = store.insert(&tasks(1..4), NOW).await.unwrap();
        assert_eq!(again, [Inserted::Repeated; 3], "it had been written");
        // Of a transaction only the commit is unknown: lost before that, it is rolled back.
        let edit = success(&running[0]);
        proxy.set(Fault::LoseReplies);
        let error = store.apply(edit.clone(), NOW).await.unwrap_err();
        assert_eq!(error.certainty(), Certainty::Rejected, "{error}");
        proxy.set(Fault::None);
        assert_eq!(store.apply(edit.clone(), NOW).await.unwrap(), Applied::DONE);
        assert_eq!(store.apply(edit, NOW).await.unwrap(), Applied::Repeated);
        let ended = store.get(task_id(100)).await.unwrap().unwrap();
        assert_eq!(ended.task.state, State::Succeeded);
    });
}

fn a_lost_request_converges(env: Arc<Env>) {
    block_on(async move {
        let (proxy, store, _) = proxied(&env).await;
        store.insert(&tasks(0..1), NOW).await.unwrap();
        for n in 1..20 {
            proxy.set(Fault::LoseRequests);
            assert!(store.insert_one(task(n), NOW).await.is_err());
            proxy.set(Fault::None);
            let answer = store.insert_one(task(n), NOW).await.unwrap();
            assert_eq!(answer, Inserted::New { leased: false });
            proxy.cut();
        }
        assert!(proxy.lost() > 0);
    });
}

/// A task that is run and forgotten as soon as the insert's statement has committed is not inserted again by the same call.
fn an_id_twice_in_one_call_is_one_write(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let mut conn = env.beside().await;
        let forget = format!(
            "CREATE FUNCTION {schema}.forget() RETURNS trigger LANGUAGE plpgsql AS \
             $$BEGIN DELETE FROM {schema}.task WHERE id = NEW.id; DELETE FROM {schema}.body WHERE id = NEW.id; RETURN NULL; END$$; \
             CREATE CONSTRAINT TRIGGER forget AFTER INSERT ON {schema}.task DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION {schema}.forget()"
        );
        execute(&mut conn, forget).await;
        let answers = store.insert(&[task(1), task(2), task(1)], NOW).await.unwrap();
        let new = Inserted::New { leased: false };
        assert_eq!(answers, [new, new, Inserted::Repeated]);
    });
}

/// Sends a signal to a process of the server.
fn signal(name: &str, process: i64) {
    let sent = std::process::Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// A server process that is stopped keeps its connection open and says nothing.
fn a_server_that_does_not_answer_ends_the_call() {
    let server = own(Kind::Postgres);
    let env = Env::on(&server);
    block_on(async move {
        let (builder, schema) = env.builder();
        let store = builder
            .max_connections(1)
            .lock_timeout(Duration::from_secs(2))
            .statement_timeout(Duration::from_secs(2))
            .call_timeout(Duration::from_secs(3))
            .connect()
            .await
            .unwrap();
        assert!(store.get(task_id(1)).await.unwrap().is_none());
        let mut conn = env.beside().await;
        let process = format!(
            "SELECT pid::bigint FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%\"{schema}\"%'"
        );
        let process = number(&mut conn, process).await;
        signal("-STOP", process);
        let error = store.insert_one(task(1), NOW).await.unwrap_err();
        assert_eq!(
            (error.certainty(), error.kind()),
            (Certainty::Unknown, StoreErrorKind::Unavailable)
        );
        let answer = store.insert_one(task(1), NOW).await.unwrap();
        assert_eq!(answer, Inserted::New { leased: false }, "on another connection");
        signal("-CONT", process);
    });
}

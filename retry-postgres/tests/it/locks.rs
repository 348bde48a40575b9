//! Other transactions in the way: claims pass by, edits wait, deadlocks are tried again, and nobody waits for ever.

use std::sync::Arc;
use std::time::Duration;

use retry_core::store::{
    Applied, Certainty, ExpiredRequest, Inserted, Renewed, StoreErrorKind, TaskStore as _, TaskStoreExt as _,
};
use retry_core::task::{Action, Edit, OnDuplicate, State};

use crate::Test;
use crate::support::{
    Env, FAR, NOW, block_on, claimed, execute, keyed, needs, number, request, session, success, task,
    task_id, tasks, until, waits,
};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("locks::claims_pass_by_locked_rows", claims_pass_by_locked_rows),
    ("locks::a_claim_locks_what_it_takes", a_claim_locks_what_it_takes),
    ("locks::a_deadlock_is_tried_again", a_deadlock_is_tried_again),
    (
        "locks::who_forgets_out_of_order_waits_for_nobody",
        who_forgets_out_of_order_waits_for_nobody,
    ),
    (
        "locks::a_lock_held_too_long_is_busy",
        a_lock_held_too_long_is_busy,
    ),
    (
        "locks::a_heartbeat_passes_an_open_claim",
        a_heartbeat_passes_an_open_claim,
    ),
    (
        "locks::a_row_that_changed_under_a_claim_is_claimed_as_it_is",
        a_row_that_changed_under_a_claim_is_claimed_as_it_is,
    ),
    (
        "locks::a_stuck_claim_holds_up_its_own_session_only",
        a_stuck_claim_holds_up_its_own_session_only,
    ),
];

fn claims_pass_by_locked_rows(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let worker = session(1);
        store.open_session(&worker, FAR, NOW).await.unwrap();
        store.insert(&tasks(1..11), NOW).await.unwrap();
        let mut blocker = env.beside().await;
        let lock = format!(
            "BEGIN; SELECT 1 FROM {schema}.task WHERE id <= '{}' FOR UPDATE",
            task_id(3)
        );
        execute(&mut blocker, lock).await;
        let answer = store.claim(request(&worker, 100), NOW).await.unwrap();
        let ids: Vec<_> = answer.tasks.iter().map(|claimed| claimed.task.id).collect();
        assert_eq!(ids, (4..11).map(task_id).collect::<Vec<_>>());
        assert_eq!(answer.next_due, Some(NOW), "due rows are left");
        execute(&mut blocker, "ROLLBACK").await;
        let answer = store.claim(request(&worker, 100), NOW).await.unwrap();
        assert_eq!((answer.tasks.len(), answer.next_due), (3, None));
    });
}

/// Exactly as many rows as are claimed: others find the rest free.
fn a_claim_locks_what_it_takes(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        store.insert(&tasks(1..101), NOW).await.unwrap();
        let text = |name: &str| {
            let all = retry_postgres::plans::statements(&schema);
            all.into_iter()
                .find(|(found, _)| *found == name)
                .expect("a statement")
                .1
        };
        let mut conn = env.beside().await;
        needs(&mut conn, "CREATE EXTENSION IF NOT EXISTS pgrowlocks").await;
        // It may be there, and for others alone.
        needs(&mut conn, &format!("SELECT pgrowlocks('{schema}.task')")).await;
        let take = format!("PREPARE take AS {}", text("claim_take"));
        execute(&mut conn, take).await;
        execute(&mut conn, "BEGIN").await;
        let zero = task_id(0);
        execute(
            &mut conn,
            format!(
                "EXECUTE take ('default', 'work', 4, {}, 0, '{zero}', 10)",
                NOW.as_millis()
            ),
        )
        .await;
        let locked = number(
            &mut conn,
            format!("SELECT count(*) FROM pgrowlocks('{schema}.task')"),
        )
        .await;
        assert_eq!(locked, 10);
        execute(&mut conn, "ROLLBACK").await;
    });
}

fn a_deadlock_is_tried_again(env: Arc<Env>) {
    block_on(async move {
        let (builder, schema) = env.builder();
        let store = builder.connect().await.unwrap();
        let running = claimed(&store, 1..3).await;
        let mut foreign = env.beside().await;
        // The foreign transaction takes the rows in the other order, and is patient enough to win.
        let lock = |n: u64| {
            format!(
                "SELECT 1 FROM {schema}.task WHERE id = '{}' FOR UPDATE",
                task_id(n)
            )
        };
        needs(&mut foreign, "SET deadlock_timeout = '1h'").await;
        execute(&mut foreign, format!("BEGIN; {}", lock(2))).await;
        let edits: Vec<_> = running.iter().map(success).collect();
        let settling = tokio::spawn({
            let store = store.clone();
            async move { store.exchange(&edits, &[], NOW).await }
        });
        let mut conn = env.beside().await;
        until(&mut conn, waits(&schema), |calls| calls > 0).await;
        // It holds the first row while it waits for the second: who asks for the first one closes the circle.
        let free = format!("SELECT count(*) FROM ({} SKIP LOCKED) free", lock(1));
        assert_eq!(number(&mut conn, free).await, 0, "the rows are locked in order");
        execute(&mut foreign, lock(1)).await;
        execute(&mut foreign, "COMMIT").await;
        let answers = settling.await.unwrap().unwrap().applied;
        assert_eq!(answers, [Applied::DONE, Applied::DONE]);
    });
}

/// A success that is not kept is forgotten before the other edits of its call are locked. Would these be waited for then, two
/// calls that edit the same tasks could wait for each other.
fn who_forgets_out_of_order_waits_for_nobody(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let running = claimed(&store, 1..3).await;
        let forget = Edit {
            action: Action::Delete { from: State::Running },
            ..success(&running[1])
        };
        let edits = [forget, success(&running[0])];
        let lock = |n: u64| {
            format!(
                "SELECT 1 FROM {schema}.task WHERE id = '{}' FOR UPDATE",
                task_id(n)
            )
        };
        let mut foreign = env.beside().await;
        execute(&mut foreign, format!("BEGIN; {}", lock(1))).await;
        let settling = tokio::spawn({
            let store = store.clone();
            async move { store.exchange(&edits, &[], NOW).await }
        });
        until(&mut env.beside().await, waits(&schema), |calls| calls > 0).await;
        let free = format!("SELECT count(*) FROM ({} SKIP LOCKED) free", lock(2));
        assert_eq!(
            number(&mut foreign, free).await,
            1,
            "it waits for the first and holds nothing"
        );
        execute(&mut foreign, "COMMIT").await;
        let answers = settling.await.unwrap().unwrap().applied;
        assert_eq!(answers, [Applied::DONE, Applied::DONE]);
        assert!(store.get(task_id(2)).await.unwrap().is_none());
    });
}

fn a_lock_held_too_long_is_busy(env: Arc<Env>) {
    block_on(async move {
        let (builder, schema) = env.builder();
        // Making the tables and claiming may wait for others' extensions of the catalog, say, for longer than that.
        let patient = builder.clone().connect().await.unwrap();
        let running = claimed(&patient, 1..2).await;
        let store = builder
            .lock_timeout(Duration::from_millis(5))
            .connect()
            .await
            .unwrap();
        let edit = success(&running[0]);
        let mut blocker = env.beside().await;
        execute(
            &mut blocker,
            format!("BEGIN; SELECT 1 FROM {schema}.task FOR UPDATE"),
        )
        .await;
        let error = store.apply(edit.clone(), NOW).await.unwrap_err();
        assert_eq!(
            (error.certainty(), error.kind()),
            (Certainty::Rejected, StoreErrorKind::Busy)
        );
        execute(&mut blocker, "ROLLBACK").await;
        assert_eq!(store.apply(edit, NOW).await.unwrap(), Applied::DONE);
    });
}

/// A renewal never waits for a claim of its own session, a mark does, and a renewed session is not marked.
fn a_heartbeat_passes_an_open_claim(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let worker = session(1);
        store.open_session(&worker, NOW, NOW).await.unwrap();
        let mut open = env.beside().await;
        let id = String::from(worker.id);
        execute(
            &mut open,
            format!("BEGIN; SELECT 1 FROM {schema}.session WHERE id = '{id}' FOR KEY SHARE"),
        )
        .await;
        let asked = ExpiredRequest {
            mark: true,
            after: None,
            limit: 10,
        };
        let marking = tokio::spawn({
            let (store, late) = (store.clone(), NOW.saturating_add(Duration::from_secs(60)));
            async move { store.expired(&asked, late).await }
        });
        let mut conn = env.beside().await;
        until(&mut conn, waits(&schema), |calls| calls > 0).await;
        assert!(!marking.is_finished());
        execute(&mut open, "COMMIT").await;
        marking.await.unwrap().unwrap();
        assert_eq!(store.renew(worker.id, FAR, NOW).await.unwrap(), Renewed::Lost);
    });
}

/// A claim in one statement reads as of its beginning, and locks what is there when it comes to it.
fn a_row_that_changed_under_a_claim_is_claimed_as_it_is(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let worker = session(1);
        store.open_session(&worker, FAR, NOW).await.unwrap();
        store.insert(&[keyed(1, "a"), task(2)], NOW).await.unwrap();
        let mut blocker = env.beside().await;
        let id = String::from(worker.id);
        let lock = format!("BEGIN; SELECT 1 FROM {schema}.session WHERE id = '{id}' FOR UPDATE");
        execute(&mut blocker, lock).await;
        let claiming = tokio::spawn({
            let (store, request) = (store.clone(), request(&worker, 10));
            async move { store.claim(request, NOW).await }
        });
        let mut conn = env.beside().await;
        until(&mut conn, waits(&schema), |calls| calls > 0).await;
        let mut other = keyed(3, "a");
        if let Some(unique) = &mut other.unique {
            unique.on_duplicate = OnDuplicate::Replace {
                payload: true,
                run_at: false,
            };
        }
        let holder = task_id(1);
        let answer = store.insert(&[other.clone()], NOW).await.unwrap();
        assert_eq!(answer, [Inserted::Replaced { holder }]);
        execute(&mut blocker, "ROLLBACK").await;
        let claimed = claiming.await.unwrap().unwrap().tasks;
        assert_eq!(claimed.len(), 2);
        assert_eq!(claimed[0].payload, other.payload);
        for claimed in claimed {
            let stored = store.get(claimed.task.id).await.unwrap().unwrap();
            assert_eq!(stored.task, claimed.task);
        }
    });
}

/// A process that hangs inside a claim keeps its session from being marked; those of others are marked beside it.
fn a_stuck_claim_holds_up_its_own_session_only(env: Arc<Env>) {
    block_on(async move {
        let (builder, schema) = env.builder();
        let patient = builder.clone().connect().await.unwrap();
        patient.insert(&tasks(1..3), NOW).await.unwrap();
        let (hanging, lost) = (session(1), session(2));
        for worker in [&hanging, &lost] {
            patient.open_session(worker, NOW, NOW).await.unwrap();
            patient.claim(request(worker, 1), NOW).await.unwrap();
        }
        let short = builder.lock_timeout(Duration::from_millis(300));
        let store = short.connect().await.unwrap();
        let mut stuck = env.beside().await;
        let id = String::from(hanging.id);
        let hang = format!("BEGIN; SELECT 1 FROM {schema}.session WHERE id = '{id}' FOR KEY SHARE");
        execute(&mut stuck, hang).await;
        let late = NOW.saturating_add(Duration::from_secs(60));
        let asked = ExpiredRequest {
            mark: true,
            after: None,
            limit: 10,
        };
        for reported in [vec![lost.id], vec![hanging.id, lost.id]] {
            let expired = store.expired(&asked, late).await.unwrap();
            let found: Vec<_> = expired
                .items
                .iter()
                .filter_map(|(task, _)| task.session)
                .collect();
            assert_eq!(found, reported);
            execute(&mut stuck, "ROLLBACK").await;
        }
    });
}

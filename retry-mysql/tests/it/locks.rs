//! Which rows a call locks: those that it names or takes, whatever else is stored. Claims pass over the others' locks, so a row
//! that is locked beside leaves a due task behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use retry_core::id::{Nonce, TaskId};
use retry_core::machine::{Event, transition};
use retry_core::name::{Queue, UniqueKey};
use retry_core::priority::Priority;
use retry_core::store::{Applied, ClaimRequest, Inserted, TaskStore as _, TaskStoreExt as _};
use retry_core::task::{Edit, KeyScope, NewTask, OnDuplicate, Unique};
use retry_core::time::Timestamp;
use retry_mysql::MySqlStore;
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection as _, Row as _};
use test_servers::{Reach as _, Shared};

use crate::gate::{COMMIT, Gate};
use crate::innodb::transactions;
use crate::support::{
    NOW, Place, claimed, fresh, kind, number, request, run, session, success, task, task_id, tasks,
};

/// Rows that no claim may take, and that none may look at one by one.
const IN_THE_WAY: i64 = 200_000;

/// Doubles the rows of a kind until there are so many.
async fn multiply(conn: &mut MySqlConnection, name: &str, wanted: i64) {
    let columns = "queue, kind, level, state, run_at, attempt, crashes, step, version, last_nonce, session, \
                   cancel_requested, alarm_at, purge_at, created_at, updated_at, unique_key, holds_key, parent, total, open, \
                   failed, failures, noted, early, wait_secret, bytes, payload";
    let mut there = 1;
    while there < wanted {
        let sql = format!(
            "INSERT INTO retry_task (id, {columns}) SELECT UNHEX(LEFT(SHA2(CONCAT(HEX(id), '{there}'), 256), 32)), {columns} \
             FROM retry_task WHERE kind = '{name}' LIMIT {}",
            wanted - there
        );
        run(conn, &sql).await;
        there = number(
            conn,
            &format!("SELECT COUNT(*) FROM retry_task WHERE kind = '{name}'"),
        )
        .await;
    }
}

pub(crate) async fn a_claim_locks_what_it_takes(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let future = NewTask {
        priority: Priority::Urgent,
        run_at: Timestamp::from_millis(NOW.as_millis() + 1_000_000),
        ..task(1)
    };
    let unknown = NewTask {
        kind: kind("unknown"),
        priority: Priority::Urgent,
        ..task(2)
    };
    store.insert(&[future, unknown], NOW).await.unwrap();
    let mut conn = place.connect().await;
    multiply(&mut conn, "unknown", IN_THE_WAY / 10).await;
    multiply(&mut conn, "work", IN_THE_WAY).await;
    store.insert(&tasks(1_000..2_000), NOW).await.unwrap();

    let mut gate = Gate::before(server.socket(), COMMIT);
    let gated = gated(&place, &gate).await;
    let mut opening = tokio::spawn({
        let gated = gated.clone();
        async move { session(&gated, 1).await }
    });
    gate.stopped().await.send(()).unwrap();
    let session = (&mut opening).await.unwrap();
    for limit in [1, 10, 100, 500] {
        let claim = {
            let (gated, request) = (gated.clone(), request(session, limit));
            tokio::spawn(async move { gated.claim(request, NOW).await })
        };
        let pass = gate.stopped().await;
        let open = transactions(&mut conn, &place.name).await;
        let locked = open.iter().map(|transaction| transaction.rows_locked).max();
        // An open claim locks no gap: what others insert, even at the head of its lane, does not wait.
        let head = NewTask {
            run_at: Timestamp::from_millis(NOW.as_millis() - i64::try_from(limit).unwrap()),
            ..task(10_000_000 + u64::try_from(limit).unwrap())
        };
        assert_eq!(
            store.insert_one(head, NOW).await.unwrap(),
            Inserted::New { leased: false }
        );
        pass.send(()).unwrap();
        assert_eq!(claim.await.unwrap().unwrap().tasks.len(), limit);
        // One more: the session.
        let most = u64::try_from(limit).unwrap() + 1;
        assert!(
            locked.is_some_and(|locked| (1..=most).contains(&locked)),
            "{locked:?} rows locked for {limit} tasks, {most} allowed"
        );
    }
}

/// The store behind a gate; its tables are there already, so that connecting commits nothing.
async fn gated(place: &Place, gate: &Gate) -> MySqlStore {
    MySqlStore::builder(&place.url_in_clear_at(gate.port))
        .migrate(false)
        .connect()
        .await
        .unwrap()
}

/// The tasks whose rows somebody else has locked.
async fn locked(conn: &mut MySqlConnection, all: std::ops::Range<u64>) -> BTreeSet<TaskId> {
    let mut tx = conn.begin().await.unwrap();
    let sql = "SELECT id FROM retry_task FORCE INDEX (PRIMARY) FOR UPDATE SKIP LOCKED";
    let rows = sqlx::query(sql).fetch_all(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    let free = |row: &sqlx::mysql::MySqlRow| {
        let id: Vec<u8> = row.get(0);
        TaskId::from_bytes(id.try_into().unwrap())
    };
    let free: BTreeSet<TaskId> = rows.iter().map(free).collect();
    all.map(task_id).filter(|id| !free.contains(id)).collect()
}

fn of_kind(name: &str, n: u64) -> NewTask {
    NewTask {
        kind: kind(name),
        ..task(n)
    }
}

/// The table is so small that a scan of it is the cheapest way to any row.
pub(crate) async fn a_call_locks_the_rows_it_names(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    store.insert(&tasks(0..6), NOW).await.unwrap();
    let holder = session(&store, 1).await;
    let running = claimed(&store, holder, 2).await;
    let mut conn = place.connect().await;
    run(&mut conn, "ANALYZE TABLE retry_task").await;
    run(
        &mut conn,
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )
    .await;
    let mut gate = Gate::before(server.socket(), COMMIT);
    let gated = gated(&place, &gate).await;

    let settle = tokio::spawn({
        let (gated, edit) = (gated.clone(), success(&running[0], 1));
        async move { gated.apply(edit, NOW).await }
    });
    let pass = gate.stopped().await;
    assert_eq!(locked(&mut conn, 0..6).await, [task_id(0)].into(), "by a settle");
    pass.send(()).unwrap();
    assert_eq!(settle.await.unwrap().unwrap(), Applied::DONE);

    // A claim by ids that has room for fewer than it names.
    let mut by_ids = request(holder, 1);
    by_ids.ids = Some(vec![task_id(4), task_id(3), task_id(5)]);
    let claim = tokio::spawn({
        let gated = gated.clone();
        async move { gated.claim(by_ids, NOW).await }
    });
    let pass = gate.stopped().await;
    assert_eq!(
        locked(&mut conn, 0..6).await,
        [task_id(4)].into(),
        "by a claim of one of three"
    );
    let mut others = request(holder, 9);
    others.ids = Some(vec![task_id(4), task_id(5)]);
    let given = store.claim(others, NOW).await.unwrap().tasks;
    assert_eq!(
        given.iter().map(|of| of.task.id).collect::<Vec<_>>(),
        [task_id(5)]
    );
    pass.send(()).unwrap();
    assert_eq!(claim.await.unwrap().unwrap().tasks.len(), 1);
}

/// A rerun takes its key again, so it locks who holds it, unless it is too late anyway.
pub(crate) async fn an_edit_that_ends_stale_locks_no_holder(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let keyed = |n| NewTask {
        unique: Some(Unique {
            key: UniqueKey::new("k").unwrap(),
            scope: KeyScope::Active,
            on_duplicate: OnDuplicate::Keep,
        }),
        ..task(n)
    };
    store.insert_one(keyed(0), NOW).await.unwrap();
    let holder = session(&store, 1).await;
    let running = claimed(&store, holder, 1).await;
    assert_eq!(
        store.apply(success(&running[0], 1), NOW).await.unwrap(),
        Applied::DONE
    );
    store.insert_one(keyed(1), NOW).await.unwrap();
    let ended = store.get(task_id(0)).await.unwrap().unwrap().task;
    let rerun = Event::Rerun {
        at: NOW,
        from_start: false,
    };
    let fits = Edit {
        id: ended.id,
        version: ended.version,
        nonce: Nonce::from_random(7),
        action: transition(&ended, rerun, NOW, 0).unwrap(),
        insert: Vec::new(),
    };
    let stale = Edit {
        version: fits.version - 1,
        ..fits.clone()
    };
    let mut conn = place.connect().await;
    run(
        &mut conn,
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )
    .await;
    let mut gate = Gate::before(server.socket(), COMMIT);
    let gated = gated(&place, &gate).await;
    let both = [task_id(0), task_id(1)];
    for (edit, wanted, answer) in [
        (stale, &both[..1], Applied::Stale),
        (fits, &both[..], Applied::KeyTaken(task_id(1))),
    ] {
        let edit = tokio::spawn({
            let gated = gated.clone();
            async move { gated.apply(edit, NOW).await }
        });
        let pass = gate.stopped().await;
        let found = locked(&mut conn, 0..2).await;
        pass.send(()).unwrap();
        assert_eq!(edit.await.unwrap().unwrap(), answer);
        assert_eq!(found, wanted.iter().copied().collect(), "locked by {answer:?}");
    }
}

/// A locking read of an index also locks the entry behind the last one: here the head of the next lane.
pub(crate) async fn a_claim_leaves_the_neighbours_of_its_lane_alone(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let batch: Vec<NewTask> = (0..5)
        .map(|n| of_kind("a", n))
        .chain((10..13).map(|n| of_kind("b", n)))
        .collect();
    store.insert(&batch, NOW).await.unwrap();
    let holder = session(&store, 1).await;
    let of = |name: &str, limit| ClaimRequest::new(holder, Queue::default(), [kind(name)], limit);
    let mut gate = Gate::before(server.socket(), COMMIT);
    let gated = gated(&place, &gate).await;
    let given = |claimed: &retry_core::store::Claimed| -> Vec<TaskId> {
        claimed.tasks.iter().map(|of| of.task.id).collect()
    };
    let ids = |numbers: &[u64]| -> Vec<TaskId> { numbers.iter().map(|n| task_id(*n)).collect() };

    let start = |request: ClaimRequest| {
        let gated = gated.clone();
        tokio::spawn(async move { gated.claim(request, NOW).await })
    };
    let two = start(of("a", 2));
    let pass_two = gate.stopped().await;
    // Page by page behind what the first has locked, to the end of the lane.
    let rest = start(of("a", 3));
    let pass_rest = gate.stopped().await;
    let nothing = store.claim(of("a", 9), NOW).await.unwrap();
    assert_eq!(given(&nothing), []);
    assert_eq!(nothing.next_due, Some(NOW), "what is locked may become free");
    let more = start(of("a", 9));
    let pass_more = gate.stopped().await;
    // Three claims have reached the end of their lane.
    let neighbours = store.claim(of("b", 9), NOW).await.unwrap();
    assert_eq!(given(&neighbours), ids(&[10, 11, 12]));
    for pass in [pass_two, pass_rest, pass_more] {
        pass.send(()).unwrap();
    }
    assert_eq!(given(&two.await.unwrap().unwrap()), ids(&[0, 1]));
    assert_eq!(given(&rest.await.unwrap().unwrap()), ids(&[2, 3, 4]));
    assert_eq!(given(&more.await.unwrap().unwrap()), []);
}

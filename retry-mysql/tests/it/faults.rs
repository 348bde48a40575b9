//! What fails on the way: locks, deadlocks, connections, answers, the server itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use retry_core::clock::ManualClock;
use retry_core::id::Nonce;
use retry_core::store::{
    Applied, Certainty, ExpiredRequest, Inserted, Page, Renewed, StoreErrorKind, TaskFilter, TaskStore as _,
    TaskStoreExt as _,
};
use retry_core::task::{Action, Edit, State};
use retry_mysql::MySqlStore;
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection as _, Row as _};
use test_servers::{Fault, Proxy, Reach as _, Server, Shared};

use crate::gate::Gate;
use crate::innodb::transactions;
use crate::rights::worker_of;
use crate::support::{
    FAR, NOW, claimed, fresh, number, request, run, session, success, task, task_id, tasks, until,
};

pub(crate) async fn a_lock_held_for_ever_stops_nobody_else(server: Arc<Shared>) {
    let (place, _) = fresh(&server).await;
    let store = place
        .builder()
        .lock_timeout(Duration::from_secs(1))
        .connect()
        .await
        .unwrap();
    store.insert(&tasks(1..41), NOW).await.unwrap();
    let holder = session(&store, 1).await;
    let mine = claimed(&store, holder, 10).await;
    let mut conn = place.connect().await;
    // At REPEATABLE READ it would lock the gaps as well, also the one where entries leave the ready index.
    run(
        &mut conn,
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )
    .await;
    let mut tx = conn.begin().await.unwrap();
    // Locks one running task and the next ten of the lane.
    let first = mine[0].task.id;
    run(
        &mut tx,
        &format!("SELECT id FROM retry_task WHERE id = UNHEX(REPLACE('{first}', '-', '')) FOR UPDATE"),
    )
    .await;
    run(&mut tx, "SELECT id FROM retry_task FORCE INDEX (task_place) WHERE state = 0 ORDER BY place_name, place_kind, place_level, place_at, id LIMIT 10 FOR UPDATE").await;
    let next = store.claim(request(holder, 10), NOW).await.unwrap();
    let given: BTreeSet<_> = next.tasks.iter().map(|claimed| claimed.task.id).collect();
    assert_eq!(
        given,
        (21..31).map(task_id).collect(),
        "the locked ones are passed over"
    );
    let others: Vec<_> = mine[1..]
        .iter()
        .zip(1..)
        .map(|(claimed, n)| success(claimed, n))
        .collect();
    let settled = store.exchange(&others, &[], NOW).await.unwrap();
    assert!(settled.applied.iter().all(|applied| *applied == Applied::DONE));
    let error = store.apply(success(&mine[0], 99), NOW).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty()),
        (StoreErrorKind::Busy, Certainty::Rejected)
    );
    tx.rollback().await.unwrap();
    assert_eq!(
        store.apply(success(&mine[0], 99), NOW).await.unwrap(),
        Applied::DONE
    );
}

/// Whether a transaction of the server waits for a lock. (The table of transactions shows the state of some time ago.)
async fn waits(conn: &mut MySqlConnection) -> bool {
    let rows = sqlx::raw_sql("SHOW ENGINE INNODB STATUS")
        .fetch_all(conn)
        .await
        .unwrap();
    rows[0].try_get::<String, _>(2).unwrap().contains("LOCK WAIT")
}

/// The rescuer is the victim of a deadlock. It waits for the lock again: only one that is kept for too long is passed over.
pub(crate) async fn a_deadlock_passes_over_no_session(server: Arc<Server>) {
    let (place, store) = fresh(&server).await;
    let (first, second) = (session(&store, 1).await, session(&store, 2).await);
    let over = FAR.saturating_add(Duration::from_secs(1));
    let mut conn = place.connect().await;
    let mut watch = place.connect().await;
    let mut tx = conn.begin().await.unwrap();
    // The server gives up the transaction that has written less.
    for n in 0..50 {
        run(
            &mut tx,
            &format!("INSERT INTO retry_paused (queue) VALUES ('q{n}')"),
        )
        .await;
    }
    let lock =
        |id| format!("SELECT id FROM retry_session WHERE id = UNHEX(REPLACE('{id}', '-', '')) FOR UPDATE");
    run(&mut tx, &lock(second)).await;
    let round = tokio::spawn({
        let store = store.clone();
        async move {
            let request = ExpiredRequest {
                mark: true,
                limit: 10,
                ..ExpiredRequest::default()
            };
            store.expired(&request, over).await
        }
    });
    while !waits(&mut watch).await {}
    run(&mut tx, &lock(first)).await;
    while !waits(&mut watch).await && !round.is_finished() {}
    tx.commit().await.unwrap();
    round.await.unwrap().unwrap();
    let lost: Vec<bool> = store.sessions().await.unwrap().iter().map(|of| of.lost).collect();
    assert_eq!(lost, [true, true]);
}

pub(crate) async fn a_storm_of_deadlocks_settles_everything(server: Arc<Shared>) {
    const WORKERS: u64 = 16;
    let (place, _) = fresh(&server).await;
    // As many transactions at once as there are workers.
    let store = place.builder().connections(16).connect().await.unwrap();
    store.insert(&tasks(0..600), NOW).await.unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    // A stranger locks rows from the newest to the oldest, and holds some of them.
    let stranger = tokio::spawn({
        let (stop, mut conn) = (Arc::clone(&stop), place.connect().await);
        async move {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let Ok(mut tx) = conn.begin().await else { return };
                for n in (0..600u64).rev().step_by(97) {
                    let sql = format!("SELECT id FROM retry_task WHERE id = UNHEX('{n:032x}') FOR UPDATE");
                    let _ = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await;
                }
                let _ = tx.rollback().await;
            }
        }
    });
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let store = store.clone();
            tokio::spawn(async move {
                let session = session(&store, worker + 1).await;
                let mut done = 0;
                let mut nonce = worker << 32;
                loop {
                    let batch = repeat(|| store.claim(request(session, 25), NOW)).await.tasks;
                    if batch.is_empty() {
                        let scope = retry_core::store::CountScope::default();
                        let left = repeat(|| store.count(&scope)).await;
                        if left.of(State::Pending) == 0 {
                            return done;
                        }
                        tokio::task::yield_now().await;
                        continue;
                    }
                    let edits: Vec<_> = batch
                        .iter()
                        .map(|claimed| {
                            nonce += 1;
                            success(claimed, nonce)
                        })
                        .collect();
                    let answer = repeat(|| store.exchange(&edits, &[], NOW)).await;
                    done += answer.applied.len();
                }
            })
        })
        .collect();
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    stranger.await.unwrap();
    assert_eq!(done, 600);
    let counts = store
        .count(&retry_core::store::CountScope::default())
        .await
        .unwrap();
    assert_eq!(counts.of(State::Succeeded), 600);
}

/// Asks a store again that is busy.
async fn repeat<T, F: Future<Output = retry_core::store::Result<T>>>(call: impl Fn() -> F) -> T {
    for _ in 0..1_000 {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Busy, "{error}"),
        }
    }
    panic!("busy a thousand times");
}

pub(crate) async fn killed_connections_are_replaced(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let mut conn = place.connect().await;
    for round in 0..20u64 {
        let kill: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = '{}' AND id <> CONNECTION_ID()",
            place.name
        )))
        .fetch_all(&mut conn)
        .await
        .unwrap();
        for id in kill {
            let _ = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("KILL {id}")))
                .execute(&mut conn)
                .await;
        }
        // Reads and transactions that find their connection dead take another: nothing of them was committed.
        let new = tasks(round * 10..round * 10 + 3);
        assert_eq!(
            store.insert(&new, NOW).await.unwrap(),
            [Inserted::New { leased: false }; 3]
        );
        assert!(store.get(new[0].id).await.unwrap().is_some());
    }
    assert_eq!(transactions(&mut conn, &place.name).await, []);
    assert_eq!(number(&mut conn, "SELECT COUNT(*) FROM retry_task").await, 60);
}

/// The primary is demoted and stays up: no connection to it is kept, neither one that was told so nor one that only reads.
pub(crate) async fn a_server_that_is_read_only_now_is_left(server: Arc<Server>) {
    let (place, _) = fresh(&server).await;
    let url = worker_of(&place).await;
    let builder = MySqlStore::builder(&url).poll_interval(None);
    let store = builder.clone().connect().await.unwrap();
    let mut conn = place.connect().await;
    let kept = async |conn: &mut MySqlConnection| -> BTreeSet<i64> {
        let sql = format!(
            "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE user = '{}_worker'",
            place.name
        );
        let ids = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(conn).await;
        ids.unwrap().into_iter().collect()
    };
    store.insert(&tasks(1..3), NOW).await.unwrap();
    store.get(task_id(1)).await.unwrap();
    let before = kept(&mut conn).await;
    assert!(before.len() >= 2, "one writes, one reads: {before:?}");
    run(&mut conn, "SET GLOBAL read_only = 1").await;
    for _ in 0..2 {
        let error = store.insert(&tasks(3..5), NOW).await.unwrap_err();
        let kind = (error.kind(), error.certainty());
        assert_eq!(kind, (StoreErrorKind::ReadOnly, Certainty::Rejected), "{error}");
    }
    let mut left = kept(&mut conn).await;
    for _ in 0..100_000 {
        if left.is_disjoint(&before) {
            break;
        }
        left = kept(&mut conn).await;
    }
    assert!(left.is_disjoint(&before), "{left:?} of {before:?}");
    run(&mut conn, "SET GLOBAL read_only = 0").await;
    store.insert(&tasks(3..5), NOW).await.unwrap();
    drop(store);
    let clock = ManualClock::new();
    let store = builder.clock(Arc::new(clock.clone())).connect().await.unwrap();
    store.insert(&tasks(5..7), NOW).await.unwrap();
    store.get(task_id(3)).await.unwrap();
    let before = kept(&mut conn).await;
    // Asked again, and still right.
    clock.advance(Duration::from_mins(1));
    store.get(task_id(5)).await.unwrap();
    assert_eq!(kept(&mut conn).await, before);
    // Nothing tells a connection that only reads, until it is asked.
    run(&mut conn, "SET GLOBAL read_only = 1").await;
    store.get(task_id(5)).await.unwrap();
    clock.advance(Duration::from_mins(1));
    let error = store.get(task_id(5)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly, "{error}");
    run(&mut conn, "SET GLOBAL read_only = 0").await;
    store.get(task_id(5)).await.unwrap();
}

pub(crate) async fn lost_replies_converge(server: Arc<Shared>) {
    let (place, direct) = fresh(&server).await;
    let proxy = Proxy::before(server.socket()).unwrap();
    let store = MySqlStore::builder(&place.url_at(proxy.port()))
        .connect()
        .await
        .unwrap();
    let holder = session(&direct, 1).await;
    for round in 0..20u64 {
        let new = tasks(round * 10..round * 10 + 3);
        let call = {
            let (store, new) = (store.clone(), new.clone());
            tokio::spawn(async move { store.insert(&new, NOW).await })
        };
        // Somewhere in the middle of the call, at another place each round.
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        proxy.set(if round % 2 == 0 {
            Fault::LoseReplies
        } else {
            Fault::LoseRequests
        });
        let answer = call.await.unwrap();
        proxy.set(Fault::None);
        proxy.cut();
        if answer.is_err() {
            let again = repeat(|| store.insert(&new, NOW)).await;
            let there = |inserted: &Inserted| matches!(inserted, Inserted::New { .. } | Inserted::Repeated);
            assert!(again.iter().all(there), "{again:?}");
        }
        let claimed = claimed(&direct, holder, 3).await;
        assert_eq!(claimed.len(), 3, "each task once");
        let edits: Vec<_> = claimed
            .iter()
            .zip(round * 10 + 1..)
            .map(|(claimed, n)| success(claimed, n))
            .collect();
        proxy.set(Fault::LoseReplies);
        let lost = store.exchange(&edits, &[], NOW).await;
        proxy.set(Fault::None);
        proxy.cut();
        assert!(lost.is_err());
        let again = repeat(|| store.exchange(&edits, &[], NOW)).await;
        let settled = |applied: &Applied| matches!(applied, Applied::Done { .. } | Applied::Repeated);
        assert!(again.applied.iter().all(settled), "{:?}", again.applied);
    }
    let counts = direct
        .count(&retry_core::store::CountScope::default())
        .await
        .unwrap();
    assert_eq!(counts.of(State::Succeeded), 60);
}

pub(crate) async fn a_silent_server_costs_no_connection(server: Arc<Shared>) {
    let (place, _) = fresh(&server).await;
    let store = place
        .builder()
        .connections(1)
        .readers(1)
        .call_timeout(Duration::from_millis(300))
        .lock_timeout(Duration::from_secs(30))
        .connect()
        .await
        .unwrap();
    store.insert_one(task(1), NOW).await.unwrap();
    let holder = session(&store, 1).await;
    let mine = claimed(&store, holder, 1).await;
    let mut conn = place.connect().await;
    let mut tx = conn.begin().await.unwrap();
    run(&mut tx, "SELECT id FROM retry_task FOR UPDATE").await;
    for nonce in 1..4 {
        let error = store.apply(success(&mine[0], nonce), NOW).await.unwrap_err();
        assert_eq!(error.certainty(), Certainty::Rejected, "{error}");
    }
    tx.rollback().await.unwrap();
    assert_eq!(
        store.apply(success(&mine[0], 9), NOW).await.unwrap(),
        Applied::DONE
    );
}

pub(crate) async fn a_killed_server_loses_nothing_and_is_used_again(server: Arc<Server>) {
    let (_place, store) = fresh(&server).await;
    let mut answered = BTreeSet::new();
    for round in 0..3u64 {
        let inserting = {
            let store = store.clone();
            tokio::spawn(async move {
                let mut answered = Vec::new();
                for n in 0.. {
                    let new = task(round * 100_000 + n);
                    match store.insert_one(new.clone(), NOW).await {
                        Ok(_) => answered.push(new.id),
                        Err(_) => break,
                    }
                }
                answered
            })
        };
        until("tasks are inserted", || async {
            store.get(task_id(round * 100_000 + 20)).await.unwrap().is_some()
        })
        .await;
        server.kill();
        answered.extend(inserting.await.unwrap());
        let error = store.insert_one(task(999_999), NOW).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.certainty()),
            (StoreErrorKind::Unavailable, Certainty::Rejected)
        );
        server.restart().unwrap();
        let new = task(round * 100_000 + 99_999);
        assert_eq!(
            store.insert_one(new, NOW).await.unwrap(),
            Inserted::New { leased: false },
            "used again at once"
        );
        store
            .renew(session(&store, round + 1).await, FAR, NOW)
            .await
            .unwrap();
    }
    for id in answered {
        assert!(
            store.get(id).await.unwrap().is_some(),
            "what was answered is there"
        );
    }
}

pub(crate) async fn a_busy_store_still_renews(server: Arc<Shared>) {
    let (place, _) = fresh(&server).await;
    let store = place.builder().connections(1).readers(1).connect().await.unwrap();
    store.insert(&tasks(1..3), NOW).await.unwrap();
    let holder = session(&store, 1).await;
    let mine = claimed(&store, holder, 1).await;
    let mut conn = place.connect().await;
    let mut tx = conn.begin().await.unwrap();
    run(&mut tx, "SELECT id FROM retry_task FOR UPDATE").await;
    // The only connection for writing waits for a lock.
    let waiting = {
        let (store, edit) = (store.clone(), success(&mine[0], 1));
        tokio::spawn(async move { store.apply(edit, NOW).await })
    };
    until("the settle waits", || {
        let place = &place;
        async move {
            let mut conn = place.connect().await;
            let open = transactions(&mut conn, &place.name).await;
            open.iter().any(|transaction| transaction.waits_for_a_lock)
        }
    })
    .await;
    let renewed = store.renew(holder, FAR, NOW).await.unwrap();
    assert_eq!(
        renewed,
        Renewed::Live {
            cancel: Vec::new(),
            held: 1
        }
    );
    assert!(!waiting.is_finished());
    tx.rollback().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Applied::DONE);
}

/// Between any two statements of a rescuer's look, a session opens and claims.
pub(crate) async fn tasks_of_live_sessions_are_never_reported(server: Arc<Shared>) {
    let statements: [&[u8]; 3] = [
        b"SELECT t.place_name FROM",
        b"SELECT id, lost, dead",
        b"a.alarm_at <= ?",
    ];
    for (statement, n) in statements.into_iter().zip(1..) {
        let (place, direct) = fresh(&server).await;
        direct.insert(&tasks(0..3), NOW).await.unwrap();
        let mut gate = Gate::before(server.socket(), statement);
        let store = MySqlStore::builder(&place.url_in_clear_at(gate.port))
            .poll_interval(None)
            .connect()
            .await
            .unwrap();
        let expiring = tokio::spawn(async move {
            let request = ExpiredRequest {
                mark: true,
                after: None,
                limit: 1_000,
            };
            store.expired(&request, NOW).await
        });
        let pass = gate.stopped().await;
        let holder = session(&direct, n).await;
        assert_eq!(claimed(&direct, holder, 1).await.len(), 1);
        pass.send(()).unwrap();
        let expired = expiring.await.unwrap().unwrap();
        assert!(expired.items.is_empty(), "{:?}", expired.items);
    }
}

/// Between the two statements of a listing, a task goes.
pub(crate) async fn a_task_that_is_forgotten_meanwhile_is_not_listed(server: Arc<Shared>) {
    let (place, direct) = fresh(&server).await;
    direct.insert(&tasks(0..3), NOW).await.unwrap();
    let holder = session(&direct, 1).await;
    let gone = claimed(&direct, holder, 1).await.remove(0);
    let mut gate = Gate::before(server.socket(), b"t.wait_secret, n.reruns, n.last_error");
    let store = MySqlStore::builder(&place.url_in_clear_at(gate.port))
        .poll_interval(None)
        .connect()
        .await
        .unwrap();
    let listing = tokio::spawn(async move {
        let all = TaskFilter::default();
        store.list(&all, &Page::first(10)).await
    });
    let pass = gate.stopped().await;
    let removal = Edit {
        id: gone.task.id,
        version: gone.task.version,
        nonce: Nonce::from_random(1),
        action: Action::Delete { from: State::Running },
        insert: Vec::new(),
    };
    assert_eq!(direct.apply(removal, NOW).await.unwrap(), Applied::DONE);
    pass.send(()).unwrap();
    let listed = listing.await.unwrap().unwrap();
    assert_eq!((listed.tasks.len(), listed.bad.len()), (2, 0));
}

/// A server may begin another transaction behind each commit, unless it is told otherwise: in that one, a statement that should
/// commit by itself would not.
pub(crate) async fn the_servers_way_to_end_transactions_changes_nothing(server: Arc<Server>) {
    let (place, _) = fresh(&server).await;
    let store = place.builder().connections(1).connect().await.unwrap();
    store.insert(&tasks(0..3), NOW).await.unwrap();
    store.insert_one(task(3), NOW).await.unwrap();
    let mut conn = place.connect().await;
    assert_eq!(number(&mut conn, "SELECT COUNT(*) FROM retry_task").await, 4);
    assert_eq!(transactions(&mut conn, &place.name).await, []);
}

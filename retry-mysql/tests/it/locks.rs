//! How many rows a claim locks: what it takes, whatever else is stored.

use std::sync::Arc;

use retry_core::priority::Priority;
use retry_core::store::{Inserted, TaskStore as _, TaskStoreExt as _};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use retry_mysql::MySqlStore;
use sqlx::mysql::MySqlConnection;
use test_servers::Server;

use crate::gate::{COMMIT, Gate};
use crate::support::{NOW, Place, fresh, kind, number, request, run, session, task, tasks};

/// Rows that no claim may take, and that none may look at one by one.
const IN_THE_WAY: i64 = 200_000;

/// Doubles the rows of a kind until there are so many.
async fn multiply(conn: &mut MySqlConnection, name: &str, wanted: i64) {
    let columns = "queue, kind, level, state, run_at, attempt, crashes, step, version, last_nonce, session, \
                   cancel_requested, alarm_at, purge_at, created_at, updated_at, unique_key, holds_key, parent, total, open, \
                   failed, failures, noted, early";
    let mut there = 1;
    while there < wanted {
        let sql = format!(
            "INSERT INTO retry_task (id, {columns}) SELECT UNHEX(MD5(CONCAT(HEX(id), '{there}'))), {columns} \
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

pub(crate) async fn a_claim_locks_what_it_takes(server: Arc<Server>) {
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

    let mut gate = Gate::before(server.ports()[0], COMMIT);
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
        let locked = number(
            &mut conn,
            "SELECT CAST(MAX(x.trx_rows_locked) AS SIGNED) FROM information_schema.innodb_trx x \
             JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id WHERE p.db = DATABASE()",
        )
        .await;
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
        let most = 2 * i64::try_from(limit).unwrap() + 4;
        assert!(
            (1..=most).contains(&locked),
            "{locked} rows locked for {limit} tasks, {most} allowed"
        );
    }
}

/// The store behind a gate; its tables are there already, so that connecting commits nothing.
async fn gated(place: &Place, gate: &Gate) -> MySqlStore {
    MySqlStore::builder(&place.url_at(gate.port))
        .migrate(false)
        .connect()
        .await
        .unwrap()
}

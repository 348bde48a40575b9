//! A full disk: told as such, nothing answered is lost, and the store goes on by itself when there is room.

use libtest_mimic::Trial;
use retry_core::payload::Payload;
use retry_core::store::{Applied, Certainty, Inserted, StoreErrorKind, TaskStore as _, TaskStoreExt as _};
use retry_core::task::{ClaimedTask, NewTask};
use retry_postgres::PostgresStore;
use sqlx::{Connection as _, PgConnection};
use test_servers::{Ballast, Kind, OnDisk, again_on_small_disk, ignore, needs, own, small_disk, trial};

use crate::support::{NOW, block_on, claimed, execute, success, task, task_id};

const NAME: &str = "full::a_full_disk_loses_nothing";

/// A server of some 60 MiB, its log, and what the test writes.
const MIB: u32 = 192;

/// What the tables may still take.
const LEFT: u64 = 4 * 1024 * 1024;

pub(crate) fn on_a_small_disk() -> Trial {
    trial(NAME, || {
        if small_disk().is_some() {
            return block_on(fill_and_free());
        }
        needs(Kind::Postgres);
        match again_on_small_disk(MIB, &["--exact", NAME, "--nocapture"]).unwrap() {
            OnDisk::Passed => {}
            OnDisk::Impossible(reason) => ignore(reason),
            OnDisk::Failed(said) => panic!("{said}"),
        }
    })
}

/// What no table can make smaller.
fn large(n: u64) -> NewTask {
    let mut state = n + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + u8::try_from(state >> 60).unwrap())
    };
    let text: String = (0..100_000).map(|_| next()).collect();
    NewTask {
        payload: Payload::encode(&text).unwrap(),
        ..task(n)
    }
}

async fn fill_and_free() {
    let disk = small_disk().unwrap();
    let server = own(Kind::Postgres);
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    let running = claimed(&store, 0..20).await;
    let mut conn = PgConnection::connect(&server.url()).await.unwrap();
    // A new piece of the log has room: what does not fit is the tables.
    execute(&mut conn, "SELECT pg_switch_wal()").await;
    execute(&mut conn, "CHECKPOINT").await;
    let ballast = Ballast::fill(&disk, LEFT).unwrap();
    let mut kept = 100;
    let error = loop {
        match store.insert_one(large(kept), NOW).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(kept > 110, "{kept} tasks fit");
    assert_eq!(
        (error.kind(), error.certainty()),
        (StoreErrorKind::Full, Certainty::Rejected),
        "{error}"
    );
    assert!(
        store.get(task_id(kept)).await.unwrap().is_none(),
        "it was refused"
    );
    settle(&store, &running).await;
    drop(ballast);
    let free = 100_000..100_020;
    for n in free.clone() {
        let inserted = store
            .insert_one(large(n), NOW)
            .await
            .expect("there is room again");
        assert_eq!(inserted, Inserted::New { leased: false });
    }
    // Now the log: a server that cannot write it gives up.
    let ballast = Ballast::fill(&disk, 0).unwrap();
    let message = "SELECT pg_logical_emit_message(true, 'ballast', repeat('x', 1000000))";
    while sqlx::raw_sql(message).execute(&mut conn).await.is_ok() {}
    let error = loop {
        if let Err(error) = store.insert_one(task(200_000), NOW).await {
            break error;
        }
    };
    assert!(
        matches!(error.kind(), StoreErrorKind::Full | StoreErrorKind::Unavailable),
        "{error}"
    );
    drop(ballast);
    server.restart().expect("there is room for its log");
    for n in (100..kept).chain(free) {
        assert!(
            store.get(task_id(n)).await.unwrap().is_some(),
            "task {n} was answered and is gone"
        );
    }
    settle_again(&store, &running).await;
    store
        .insert_one(task(200_000), NOW)
        .await
        .expect("the store goes on");
}

/// What is there is read and, where it needs no room, ended.
async fn settle(store: &PostgresStore, running: &[ClaimedTask]) {
    for claimed in running {
        match store.apply(success(claimed), NOW).await {
            Ok(applied) => assert_eq!(applied, Applied::DONE),
            Err(error) => assert_eq!(
                (error.kind(), error.certainty()),
                (StoreErrorKind::Full, Certainty::Rejected),
                "{error}"
            ),
        }
    }
}

/// Whatever was said before.
async fn settle_again(store: &PostgresStore, running: &[ClaimedTask]) {
    for claimed in running {
        let again = store.apply(success(claimed), NOW).await.unwrap();
        assert!(
            matches!(again, Applied::Repeated | Applied::Done { .. }),
            "{again:?}"
        );
    }
}

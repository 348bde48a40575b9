//! A full disk: told as such, nothing answered is lost, and the store goes on by itself when there is room.

use std::sync::Arc;

use libtest_mimic::Trial;
use retry_core::payload::Payload;
use retry_core::store::{Applied, Certainty, Inserted, StoreErrorKind, TaskStore as _, TaskStoreExt as _};
use retry_core::task::{ClaimedTask, NewTask};
use retry_mysql::MySqlStore;
use test_servers::{Ballast, Kind, OnDisk, again_on_small_disk, ignore, needs, own_with, small_disk, trial};

use crate::support::{NOW, claimed, fresh, session, success, task, task_id, tasks};

const NAME: &str = "mysql::full::a_full_disk_loses_nothing";

/// A server of some 120 MiB, and what the test writes.
const MIB: u32 = 320;

/// What the tables may still take.
const LEFT: u64 = 16 * 1024 * 1024;

pub(crate) fn on_a_small_disk() -> Trial {
    trial(NAME, || {
        if small_disk().is_some() {
            return crate::block_on(fill_and_free());
        }
        needs(Kind::MySql);
        match again_on_small_disk(MIB, &["--exact", NAME, "--nocapture"]).unwrap() {
            OnDisk::Passed => {}
            OnDisk::Impossible(reason) => ignore(reason),
            OnDisk::Failed(said) => panic!("{said}"),
        }
    })
}

fn sized(n: u64, bytes: usize) -> NewTask {
    NewTask {
        payload: Payload::encode(&"x".repeat(bytes)).unwrap(),
        ..task(n)
    }
}

/// It is kept in a page with others.
fn small(n: u64) -> NewTask {
    sized(n, 4_000)
}

async fn fill_and_free() {
    let disk = small_disk().unwrap();
    // The log of the server has its full size from the beginning.
    let settings = [("innodb-log-file-size", "16M")];
    let server = Arc::new(own_with(Kind::MySql, &settings));
    let (_, store) = fresh(&server).await;
    store.insert(&tasks(0..20), NOW).await.unwrap();
    let holder = session(&store, 1).await;
    let running = claimed(&store, holder, 20).await;
    let ballast = Ballast::fill(&disk, LEFT).unwrap();
    let mut kept = 100;
    let error = loop {
        let batch: Vec<_> = (kept..kept + 50).map(small).collect();
        match store.insert(&batch, NOW).await {
            Ok(_) => kept += 50,
            Err(error) => break error,
        }
    };
    assert!(kept > 300, "{kept} tasks fit");
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
            .insert_one(small(n), NOW)
            .await
            .expect("there is room again");
        assert_eq!(inserted, Inserted::New { leased: false });
    }
    // A payload on pages of its own: the server may not even have the room to undo it, and then ends (MariaDB 10.11 does).
    let ballast = Ballast::fill(&disk, LEFT).unwrap();
    let mut large = 200_000;
    let error = loop {
        match store.insert_one(sized(large, 200_000), NOW).await {
            Ok(_) => large += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error.kind(), StoreErrorKind::Full | StoreErrorKind::Unavailable),
        "{error}"
    );
    drop(ballast);
    server.restart().expect("it starts again");
    for n in (100..kept).chain(free).chain(200_000..large) {
        assert!(
            store.get(task_id(n)).await.unwrap().is_some(),
            "task {n} was answered and is gone"
        );
    }
    settle_again(&store, &running).await;
    store
        .insert_one(sized(large, 200_000), NOW)
        .await
        .expect("the store goes on");
}

/// What is there is read and, where it needs no room, ended.
async fn settle(store: &MySqlStore, running: &[ClaimedTask]) {
    for (claimed, n) in running.iter().zip(1..) {
        match store.apply(success(claimed, n), NOW).await {
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
async fn settle_again(store: &MySqlStore, running: &[ClaimedTask]) {
    for (claimed, n) in running.iter().zip(1..) {
        let again = store.apply(success(claimed, n), NOW).await.unwrap();
        assert!(
            matches!(again, Applied::Repeated | Applied::Done { .. }),
            "{again:?}"
        );
    }
}

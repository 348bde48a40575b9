//! Calls that fail, with and without having been done, in both databases, one after the other.

use super::harness::{Fault, Office};
use crate::engine::tests::faulty::{self, Op};
use crate::engine::tests::harness::SECOND;
use crate::store::StoreErrorKind;

#[tokio::test]
async fn a_failed_call_of_the_outbox_is_repeated() {
    for fault in [Fault::Rejected, Fault::Lost, Fault::Answerless] {
        for good in 0..6 {
            let office = Office::new();
            let worker = office.worker();
            let tasks = office.commit_all(7);
            let (store, table) = (office.store(), office.table());
            table.plan(good, fault.clone());
            let relay = Office::start(office.builder(&store, &table).batch(3));
            office
                .assert_once(&tasks, &format!("{fault:?} after {good} calls"))
                .await;
            assert_eq!(office.sent(), tasks, "in order");
            relay.kill().await;
            office.world.shut_down(worker).await;
        }
    }
}

#[tokio::test]
async fn a_failed_write_of_the_store_is_repeated() {
    let rejected = faulty::Fault::Rejected(StoreErrorKind::Unavailable);
    for fault in [
        rejected,
        faulty::Fault::Lost,
        faulty::Fault::Answerless,
        faulty::Fault::Panic,
    ] {
        for good in 0..8 {
            for times in [1, 3] {
                let office = Office::new();
                let worker = office.worker();
                let tasks = office.commit_all(7);
                let (store, table) = (office.store(), office.table());
                store.plan_after(Op::Exchange, good, &fault, times);
                let relay = Office::start(office.builder(&store, &table).batch(3));
                let what = format!("{fault:?} {times} times after {good} exchanges");
                office.assert_once(&tasks, &what).await;
                relay.kill().await;
                office.world.shut_down(worker).await;
            }
        }
    }
}

#[tokio::test]
async fn neither_database_need_be_there_at_the_start() {
    let office = Office::new();
    let worker = office.worker();
    let tasks = office.commit_all(4);
    let (store, table) = (office.store(), office.table());
    store.all(Some(faulty::Fault::Lost));
    (0..5).for_each(|_| table.plan(0, Fault::Rejected));
    let relay = Office::start(office.builder(&store, &table));
    office.world.pass(SECOND * 60).await;
    assert_eq!(table.calls(), 0, "without the store nothing is read");
    store.heal();
    office.assert_once(&tasks, "both are back").await;
    relay.kill().await;
    office.world.shut_down(worker).await;
}

#[tokio::test]
async fn a_shutdown_ends_though_neither_answers() {
    let office = Office::new();
    office.commit_all(4);
    let (store, table) = (office.store(), office.table());
    let relay = Office::start(office.builder(&store, &table).batch(1));
    office.world.pass(SECOND).await;
    assert_eq!(office.waiting().await, 0);
    for hangs in [true, false] {
        table.plan(0, Fault::HoldAnswer(tokio_util::sync::CancellationToken::new()));
        store.all(Some(match hangs {
            true => faulty::Fault::HoldAnswer(tokio_util::sync::CancellationToken::new()),
            false => faulty::Fault::Lost,
        }));
    }
    office.commit_all(4);
    office.world.pass(SECOND).await;
    let began = office.world.elapsed();
    office
        .world
        .finish("the relay stops", relay.handle.shutdown())
        .await;
    assert!(office.world.elapsed() - began < SECOND * 35);
}

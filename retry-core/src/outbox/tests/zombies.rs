//! Relays that stand still, and wake when another has taken over.

use tokio_util::sync::CancellationToken;

use super::harness::{Fault, Office, STEPS};
use crate::engine::tests::faulty::{self, Op};
use crate::engine::tests::harness::{SECOND, quiet};
use crate::store::TaskStore as _;

#[tokio::test]
async fn two_relays_hand_over_each_row_once() {
    let office = Office::new();
    let worker = office.worker();
    let relays = [office.relay(), office.relay()];
    let mut tasks = Vec::new();
    for _ in 0..50 {
        tasks.extend(office.commit_all(4));
        office.world.pass(SECOND * 5).await;
    }
    office.assert_once(&tasks, "by two relays").await;
    assert_eq!(office.sent(), tasks);
    for relay in relays {
        relay.kill().await;
    }
    office.world.shut_down(worker).await;
}

/// It stands still at every place, and goes on when another has handed everything over and the tasks have come and gone.
#[tokio::test]
async fn a_relay_that_stood_still_hands_nothing_over_again() {
    for steps in 0..STEPS {
        let office = Office::new();
        let worker = office.worker();
        let mut tasks = office.commit_all(5);
        let zombie = office.relay();
        office.steps(steps).await;
        zombie.stop();
        let relay = office.relay();
        office.until_ran(5).await;
        tasks.extend(office.commit_all(2));
        zombie.go_on();
        office
            .assert_once(&tasks, &format!("a zombie after {steps} steps"))
            .await;
        zombie.kill().await;
        relay.kill().await;
        office.world.shut_down(worker).await;
    }
}

/// It goes on when another has taken over and handed nothing over yet.
#[tokio::test]
async fn a_relay_that_stood_still_removes_nothing_of_others() {
    for steps in 0..STEPS {
        let office = Office::new();
        let worker = office.worker();
        let mut tasks = office.commit_all(5);
        let zombie = office.relay();
        office.steps(steps).await;
        zombie.stop();
        let (store, table, gate) = (office.store(), office.table(), CancellationToken::new());
        table.plan(0, Fault::HoldCall(gate.clone()));
        let relay = Office::start(office.builder(&store, &table).batch(3));
        office.world.pass(SECOND * 20).await;
        tasks.extend(office.commit_all(2));
        zombie.go_on();
        quiet().await;
        gate.cancel();
        office
            .assert_once(&tasks, &format!("a zombie after {steps} steps"))
            .await;
        zombie.kill().await;
        relay.kill().await;
        office.world.shut_down(worker).await;
    }
}

/// Its session is marked lost while its lease holds by its own count, as when the store's clock stepped: what it sends is refused,
/// and counts as nothing.
#[tokio::test]
async fn a_relay_whose_lease_was_taken_away_removes_nothing() {
    for steps in 0..STEPS {
        let office = Office::new();
        let worker = office.worker();
        let mut tasks = office.commit_all(5);
        let zombie = office.relay();
        office.steps(steps).await;
        zombie.stop();
        let sessions = office.world.memory.sessions().await.unwrap();
        for session in sessions
            .iter()
            .filter(|it| it.info.name.as_str() == "outbox-relay")
        {
            office.world.memory.close_session(session.info.id).await.unwrap();
        }
        let (store, table, gate) = (office.store(), office.table(), CancellationToken::new());
        table.plan(0, Fault::HoldCall(gate.clone()));
        let relay = Office::start(office.builder(&store, &table).batch(3));
        office.world.pass(SECOND * 2).await;
        tasks.extend(office.commit_all(2));
        zombie.go_on();
        quiet().await;
        gate.cancel();
        office
            .assert_once(&tasks, &format!("taken away after {steps} steps"))
            .await;
        zombie.kill().await;
        relay.kill().await;
        office.world.shut_down(worker).await;
    }
}

/// The write itself stands still on its way, and reaches the store when its rows have long been handed over.
#[tokio::test]
async fn a_write_that_comes_late_writes_nothing() {
    for good in 1..6 {
        let office = Office::new();
        let worker = office.worker();
        let tasks = office.commit_all(7);
        let (store, table, gate) = (office.store(), office.table(), CancellationToken::new());
        store.plan_after(Op::Exchange, good, &faulty::Fault::HoldCall(gate.clone()), 1);
        let zombie = Office::start(office.builder(&store, &table).batch(3));
        office.world.pass(SECOND).await;
        store.always(Op::Renew, Some(faulty::Fault::Lost));
        let relay = office.relay();
        office.until_ran(7).await;
        gate.cancel();
        quiet().await;
        store.heal();
        office
            .assert_once(&tasks, &format!("late since exchange {good}"))
            .await;
        zombie.kill().await;
        relay.kill().await;
        office.world.shut_down(worker).await;
    }
}

/// A table that was restored from a backup gives numbers again that the checkpoint names.
#[tokio::test]
async fn numbers_that_are_given_again_are_other_rows() {
    let office = Office::new();
    let worker = office.worker();
    let backup = office.outbox.copy();
    let before = office.commit_all(2);
    let relay = office.relay();
    office.until_ran(2).await;
    relay.kill().await;
    office.outbox.restore(&backup);
    let after = office.commit_all(2);
    let relay = office.relay();
    office
        .assert_once(&[before, after].concat(), "numbers 1 and 2 twice")
        .await;
    relay.kill().await;
    office.world.shut_down(worker).await;
}

/// The database failed over to a copy that is behind: what the relay removed is there again, and its tasks have come and gone.
#[tokio::test]
async fn rows_that_come_back_behind_the_last_hand_over_are_removed_again() {
    for crashes in [false, true] {
        let office = Office::new();
        let worker = office.worker();
        let mut tasks = office.commit_all(3);
        let backup = office.outbox.copy();
        let mut relay = office.relay();
        office.until_ran(3).await;
        office.world.pass(SECOND).await;
        if crashes {
            relay.kill().await;
            relay = office.relay();
        }
        office.outbox.restore(&backup);
        tasks.extend(office.commit_all(2));
        office.assert_once(&tasks, "set back by a removal").await;
        relay.kill().await;
        office.world.shut_down(worker).await;
    }
}

/// The rows come back with the backup; their tasks are still stored.
#[tokio::test]
async fn rows_that_come_back_are_the_same_tasks() {
    let office = Office::new();
    let ids: Vec<_> = (0..4)
        .map(|_| office.commit(crate::engine::tests::harness::job("other")))
        .collect();
    let backup = office.outbox.copy();
    let relay = office.relay();
    office.world.pass(SECOND * 2).await;
    assert_eq!(office.waiting().await, 0);
    office.outbox.restore(&backup);
    office.world.pass(SECOND * 2).await;
    assert_eq!(office.waiting().await, 0);
    for id in ids {
        assert_eq!(
            office.world.memory.get(id).await.unwrap().unwrap().task.version,
            0
        );
    }
    relay.kill().await;
}

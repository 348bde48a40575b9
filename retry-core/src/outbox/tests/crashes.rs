//! The relay killed at every step, again and again.

use tokio_util::sync::CancellationToken;

use super::harness::{Fault, Office, STEPS};
use crate::engine::tests::harness::{SECOND, job};
use crate::store::TaskStore as _;

#[tokio::test]
async fn killed_at_every_step_each_task_comes_once() {
    let mut left = Vec::new();
    for steps in 0..STEPS {
        let office = Office::new();
        let worker = office.worker();
        let mut tasks = office.commit_all(5);
        let relay = office.relay();
        office.steps(steps).await;
        left.push(office.waiting().await);
        relay.kill().await;
        tasks.extend(office.commit_all(2));
        let relay = office.relay();
        office
            .assert_once(&tasks, &format!("killed after {steps} steps"))
            .await;
        relay.kill().await;
        office.world.shut_down(worker).await;
    }
    assert_eq!(
        left.first(),
        Some(&5),
        "the first kills come before anything was done"
    );
    assert_eq!(left.last(), Some(&0), "the last ones when all was done");
    assert!(left.contains(&2), "and some between two hand-overs: {left:?}");
}

#[tokio::test]
async fn killed_over_and_over_it_goes_on() {
    let office = Office::new();
    let worker = office.worker();
    let mut tasks = Vec::new();
    for life in 0..40 {
        tasks.extend(office.commit_all(3));
        let relay = office.relay();
        // The lease of the one before ends meanwhile, or not.
        office.world.pass(SECOND * (life % 21)).await;
        for _ in 0..(life * 7) % 41 {
            tokio::task::yield_now().await;
        }
        relay.kill().await;
    }
    let relay = office.relay();
    office.assert_once(&tasks, "after forty lives").await;
    relay.kill().await;
    office.world.shut_down(worker).await;
}

#[tokio::test]
async fn a_shutdown_lets_another_go_on_at_once() {
    for steps in 0..60 {
        let office = Office::new();
        let worker = office.worker();
        let tasks = office.commit_all(7);
        let relay = office.relay();
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        office
            .world
            .finish("the relay stops", relay.handle.shutdown())
            .await;
        let began = office.world.elapsed();
        let other = office.relay();
        office.until_ran(7).await;
        let took = office.world.elapsed() - began;
        assert!(
            took < SECOND * 3,
            "no lease is waited for: {took:?} after {steps} steps"
        );
        office.assert_once(&tasks, "handed on").await;
        other.kill().await;
        office.world.shut_down(worker).await;
    }
}

/// Somebody may count what waits, give the outbox another name, or point it at another store.
#[tokio::test]
async fn a_shutdown_leaves_no_row_that_was_handed_over() {
    for steps in 0..STEPS {
        let office = Office::new();
        let tasks: Vec<_> = (0..7).map(|_| office.commit(job("other"))).collect();
        let relay = office.relay();
        office.steps(steps).await;
        office
            .world
            .finish("the relay stops", relay.handle.shutdown())
            .await;
        let mut left = 7;
        for id in &tasks {
            left -= u64::from(office.world.memory.get(*id).await.unwrap().is_some());
        }
        assert_eq!(office.waiting().await, left, "stopped after {steps} steps");
    }
}

#[tokio::test]
async fn a_shutdown_waits_for_its_last_removal_only_so_long() {
    let office = Office::new();
    let table = office.table();
    table.plan(1, Fault::HoldCall(CancellationToken::new()));
    office.commit_all(2);
    let relay = Office::start(office.builder(&office.store(), &table));
    office.world.pass(SECOND).await;
    assert_eq!(office.waiting().await, 2);
    let began = office.world.elapsed();
    office
        .world
        .finish("the relay stops", relay.handle.shutdown())
        .await;
    let took = office.world.elapsed() - began;
    assert!(took < SECOND * 3, "{took:?}");
}

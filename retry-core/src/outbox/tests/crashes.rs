//! The relay killed at every step, again and again.

use super::harness::{Office, STEPS};
use crate::engine::tests::harness::SECOND;

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

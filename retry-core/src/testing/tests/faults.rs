//! Each fault does what it says, once.

use std::convert::Infallible;
use std::time::Duration;

use super::{Job, SECOND, World, pause};
use crate::executor::{Ctx, HandlerError, State};
use crate::task;
use crate::testing::{Fault, RunEnd, TestKit};

/// Two await points, three marks.
async fn marks(_: Job, ctx: Ctx, State(world): State<World>) -> Result<(), Infallible> {
    let attempt = ctx.attempt();
    world.did(format!("{attempt} begins"));
    pause().await;
    world.did(format!("{attempt} goes on"));
    pause().await;
    world.did(format!("{attempt} ends"));
    Ok(())
}

async fn ran_with(fault: Fault) -> (TestKit, Vec<String>) {
    let world = World::default();
    let kit = TestKit::new().handler(marks).state(world.clone());
    kit.fault(fault);
    let id = kit.enqueue(Job { n: 1 }).await;
    kit.drain().await.assert_done();
    assert!(kit.outstanding().is_empty(), "{fault} did not strike");
    kit.assert_state(id, task::State::Succeeded);
    (kit, world.all())
}

#[tokio::test]
async fn a_crash_drops_the_handler_where_it_is_and_the_task_comes_back() {
    let (kit, did) = ran_with(Fault::CrashAtAwait(2)).await;
    assert_eq!(did, ["1 begins", "1 goes on", "2 begins", "2 goes on", "2 ends"]);
    let ends: Vec<_> = kit.runs().iter().map(|run| (run.awaits, run.end)).collect();
    assert_eq!(ends, [(2, RunEnd::Dropped), (2, RunEnd::Returned)]);
    let lost = &kit.tasks::<Job>()[0].failures[0];
    assert!(lost.error.as_str().contains("lease was lost"), "{}", lost.error);
    assert!(
        kit.now().saturating_since(lost.started_at) >= Duration::from_secs(15),
        "a lease"
    );
}

#[tokio::test]
async fn a_crash_before_the_settle_loses_the_outcome() {
    let (kit, did) = ran_with(Fault::CrashBeforeSettle(1)).await;
    assert_eq!(did[2..4], ["1 ends", "2 begins"]);
    assert_eq!(kit.tasks::<Job>()[0].task.attempt, 2);
}

#[tokio::test]
async fn a_worker_that_stood_still_goes_on_behind_its_successor() {
    let (kit, did) = ran_with(Fault::OverlapAtAwait(1)).await;
    assert_eq!(did[..4], ["1 begins", "2 begins", "2 goes on", "2 ends"]);
    assert_eq!(did[4], "1 goes on");
    let detail = &kit.tasks::<Job>()[0];
    assert_eq!(detail.task.attempt, 2, "the late outcome changed nothing");
    assert!(kit.runs()[1].version > kit.runs()[0].version);
}

#[tokio::test]
async fn a_second_delivery_runs_the_whole_task_twice() {
    let (kit, did) = ran_with(Fault::DeliverTwice(1)).await;
    assert_eq!(did[2], "1 ends");
    assert_eq!(did[5], "2 ends");
    assert!(kit.runs().iter().all(|run| run.end == RunEnd::Returned));
}

#[tokio::test]
async fn a_lost_reply_runs_nothing_twice() {
    let (kit, did) = ran_with(Fault::LoseReply(1)).await;
    assert_eq!(did.len(), 3);
    assert_eq!(kit.runs().len(), 1);
}

#[tokio::test]
async fn faults_count_from_when_they_are_planned_and_strike_once() {
    let world = World::default();
    let kit = TestKit::new().handler(marks).state(world.clone());
    kit.enqueue(Job { n: 1 }).await;
    kit.drain().await.assert_done();
    kit.fault(Fault::CrashAtAwait(1));
    kit.fault(Fault::CrashAtAwait(99));
    kit.enqueue(Job { n: 2 }).await;
    kit.drain().await.assert_done();
    assert_eq!(kit.runs().len(), 3);
    assert_eq!(kit.outstanding(), [Fault::CrashAtAwait(99)]);
}

#[tokio::test]
async fn a_store_that_is_down_delays_and_loses_nothing() {
    async fn checkpoints(_: Job, ctx: Ctx) -> Result<(), HandlerError> {
        ctx.save_checkpoint(&1).await?;
        Ok(())
    }
    let kit = TestKit::new().handler(checkpoints);
    kit.advance(SECOND).await;
    kit.fail_store_for(Duration::from_secs(60));
    let id = kit.enqueue(Job { n: 1 }).await;
    kit.advance(Duration::from_secs(59)).await;
    kit.assert_state(id, task::State::Pending);
    kit.drain().await.assert_done();
    kit.assert_state(id, task::State::Succeeded);
    assert_eq!(kit.runs().len(), 1);
}

#[tokio::test]
async fn a_crash_by_hand_loses_what_runs() {
    async fn stuck_once(_: Job, ctx: Ctx) -> Result<(), Infallible> {
        if ctx.attempt() == 1 {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
    let kit = TestKit::new()
        .handler(stuck_once)
        .patience(Duration::from_millis(10));
    let id = kit.enqueue(Job { n: 1 }).await;
    kit.advance(SECOND).await;
    kit.assert_state(id, task::State::Running);
    kit.crash();
    kit.drain().await.assert_done();
    assert_eq!(kit.task(id).task.attempt, 2);
}

#[tokio::test]
async fn faults_strike_in_a_shutdown_as_well() {
    async fn winds_up(_: Job, ctx: Ctx) -> Result<(), Infallible> {
        if ctx.attempt() == 1 {
            ctx.cancelled().await;
            pause().await;
        }
        Ok(())
    }
    for fault in [
        Fault::CrashAtAwait(2),
        Fault::OverlapAtAwait(2),
        Fault::DeliverTwice(1),
    ] {
        let kit = TestKit::new()
            .handler(winds_up)
            .patience(Duration::from_millis(10));
        kit.fault(fault);
        let id = kit.enqueue(Job { n: 1 }).await;
        kit.advance(SECOND).await;
        kit.shutdown().await;
        assert!(kit.outstanding().is_empty(), "{fault}");
        kit.drain().await.assert_done();
        kit.assert_state(id, task::State::Succeeded);
        assert_eq!(kit.task(id).task.attempt, 2, "{fault}");
    }
}

#[tokio::test]
#[should_panic(expected = "counting begins at 1")]
async fn the_first_is_number_one() {
    TestKit::new().fault(Fault::CrashAtAwait(0));
}

//! Cancels, in every state.

use super::harness::{Meter, SECOND, WithKind as _, World, done, job, quiet, script, stuck, until_cancelled};
use crate::client::{Cancelled, Error};
use crate::executor::Outcome;
use crate::id::TaskId;
use crate::store::{Page, TaskFilter};
use crate::task::State;

async fn refused(world: &World, id: TaskId) {
    let again = world.client.cancel(id).await;
    assert!(matches!(again, Err(Error::Rejected(_))), "{again:?}");
}

#[tokio::test]
async fn pending_and_waiting_tasks_end_at_once() {
    let world = World::new();
    let pending = world.enqueue(job("a").delay(SECOND * 60)).await;
    let waiting = world.enqueue(job("a")).await;
    let waits = script(|_| async { Ok(Outcome::Wait(SECOND * 60)) });
    let handle = world.worker().kind("a", waits).build().unwrap().start();
    world.until_state(waiting, State::Waiting).await;
    for id in [pending, waiting] {
        assert_eq!(world.client.cancel(id).await.unwrap(), Cancelled::Now);
        assert_eq!(world.state(id).await, State::Cancelled);
        refused(&world, id).await;
    }
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_running_handler_is_told_by_the_heartbeat() {
    for executor in [until_cancelled(), stuck()] {
        let world = World::new();
        let id = world.enqueue(job("a")).await;
        let handle = world.worker().kind("a", executor).build().unwrap().start();
        world.until_state(id, State::Running).await;
        assert_eq!(world.client.cancel(id).await.unwrap(), Cancelled::Requested);
        assert_eq!(world.client.cancel(id).await.unwrap(), Cancelled::Requested);
        let asked = world.elapsed();
        assert_eq!(world.until_final(id).await.task.state, State::Cancelled);
        assert!(world.elapsed() <= asked + SECOND * 8, "{:?}", world.elapsed());
        refused(&world, id).await;
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_success_or_a_final_failure_before_the_cancel_stands() {
    let world = World::new();
    let succeeds = script(|ctx| async move {
        ctx.cancelled().await;
        ctx.enqueue_on_success(job("b"));
        Ok(Outcome::Done)
    });
    let id = world.enqueue(job("a")).await;
    let handle = world
        .worker()
        .kind("a", succeeds)
        .kind("b", done())
        .build()
        .unwrap()
        .start();
    world.until_state(id, State::Running).await;
    world.client.cancel(id).await.unwrap();
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_retry_of_a_flagged_task_ends_it() {
    let world = World::new();
    let id = world.enqueue(job("a")).await;
    let runs = Meter::default();
    let count = runs.clone();
    let client = world.client.clone();
    let executor = script(move |ctx| {
        let (client, count) = (client.clone(), count.clone());
        async move {
            drop(count.enter());
            client.cancel(ctx.id()).await?;
            Err("a failure like others".into())
        }
    });
    let handle = world.worker().kind("a", executor).build().unwrap().start();
    assert_eq!(world.until_final(id).await.task.state, State::Cancelled);
    world.pass(SECOND * 5).await;
    assert_eq!(runs.total(), 1);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_cancelled_parent_ends_after_its_children() {
    let world = World::new();
    let id = world.enqueue(job("parent")).await;
    let parent = script(|_| async {
        let later = job("later").delay(SECOND * 1_000);
        Ok(Outcome::split([job("runs"), later, job("waits")]))
    });
    let worker = world
        .worker()
        .kind("parent", parent)
        .kind("runs", until_cancelled());
    let waits = script(|_| async { Ok(Outcome::Wait(SECOND * 1_000)) });
    let handle = worker
        .kind("waits", waits)
        .kind("later", done())
        .build()
        .unwrap()
        .start();
    world.until_state(id, State::Joining).await;
    world.pass(SECOND * 2).await;
    assert_eq!(world.client.cancel(id).await.unwrap(), Cancelled::Requested);
    assert_eq!(world.client.cancel(id).await.unwrap(), Cancelled::Requested);
    let ended = world.until_final(id).await;
    assert_eq!(
        (ended.task.state, ended.task.children.failed),
        (State::Cancelled, 3)
    );
    let all = world
        .client
        .list(&TaskFilter::default(), &Page::first(10))
        .await
        .unwrap();
    assert!(all.tasks.iter().all(|row| row.task.state == State::Cancelled));
    assert!(world.elapsed() < SECOND * 15, "{:?}", world.elapsed());
    world.shut_down(handle).await;
}

/// The first page of children is all running and deaf; those behind it must not wait for them.
#[tokio::test]
async fn running_children_do_not_hide_the_others_from_the_cancel() {
    let world = World::new();
    let id = world.enqueue(job("parent")).await;
    let parent = script(|ctx| async move {
        Ok(match ctx.step() {
            0 => Outcome::split((0..1_000).map(|_| job("stuck"))),
            _ => Outcome::Done,
        })
    });
    // The worker is slow to end cancelled handlers, so that they stay running and flagged.
    let worker = world
        .worker()
        .concurrency(1_100)
        .cancel_grace(SECOND * 3_000)
        .shutdown_grace(SECOND);
    let handle = worker
        .kind("parent", parent)
        .kind("stuck", stuck())
        .build()
        .unwrap()
        .start();
    world.until_state(id, State::Joining).await;
    world.pass(SECOND * 3).await;
    let filter = TaskFilter {
        parent: Some(id),
        states: vec![State::Running],
        ..TaskFilter::default()
    };
    let running = world
        .client
        .list(&filter, &Page::first(1_000))
        .await
        .unwrap()
        .tasks
        .len();
    assert_eq!(running, 1_000);
    // One more child, older than all others in the listing's order.
    let extra = super::rescue::adopt(&world, id).await;
    world.client.cancel(id).await.unwrap();
    world.pass(SECOND * 10).await;
    assert_eq!(world.state(extra).await, State::Cancelled);
    drop(handle);
    quiet().await;
}

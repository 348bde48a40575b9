//! Administration: each operation and each of its errors.

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::client;
use crate::client::{Cancelled, Changes, Client, Error};
use crate::engine::tests::faulty::{Fault, FaultyStore, Op};
use crate::engine::tests::harness::{SECOND, WithKind as _, World, done, each_second, job, script};
use crate::executor::Outcome;
use crate::headers::Headers;
use crate::id::TaskId;
use crate::machine::Rejected;
use crate::name::Queue;
use crate::payload::Payload;
use crate::store::{CountScope, Page, StoreErrorKind, TaskFilter};
use crate::task::State;

/// Runs everything that is due: kind `good` succeeds, `bad` fails, `waits` waits.
async fn run(world: &World) {
    let waits = script(|_| async { Ok(Outcome::Wait(SECOND * 1_000)) });
    let bad = script(|_| async { Err("bad".into()) });
    let worker = world
        .worker()
        .kind("good", done())
        .kind("bad", bad)
        .kind("waits", waits);
    let worker = worker.build().unwrap();
    world.finish("the tick", worker.tick(SECOND * 100)).await.unwrap();
}

fn is_state<T: std::fmt::Debug>(answer: Result<T, Error>, state: State) {
    assert!(
        matches!(&answer, Err(Error::Rejected(Rejected::State(is))) if *is == state),
        "{answer:?}"
    );
}

async fn all(client: &Client<FaultyStore>, id: TaskId) -> Vec<Result<(), Error>> {
    vec![
        client.cancel(id).await.map(drop),
        client.rerun(id).await.map(drop),
        client.rerun_from_start(id).await.map(drop),
        client.reschedule(id, crate::time::Timestamp::MAX).await.map(drop),
        client.run_now(id).await.map(drop),
        client.edit(id, Changes::default()).await.map(drop),
        client.release(id).await.map(drop),
        client.delete(id).await,
    ]
}

#[tokio::test]
async fn a_missing_task_is_not_found() {
    let world = World::new();
    let (client, _) = client(&world);
    assert_eq!(client.get(TaskId::MIN).await.unwrap(), None);
    for answer in all(&client, TaskId::MIN).await {
        assert!(matches!(answer, Err(Error::NotFound(TaskId::MIN))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_store_that_fails_is_told() {
    let world = World::new();
    let (client, store) = client(&world);
    let id = client.enqueue(job("good")).await.unwrap().id;
    store.all(Some(Fault::Rejected(StoreErrorKind::ReadOnly)));
    for answer in all(&client, id).await {
        assert!(matches!(&answer, Err(Error::Store(error)) if error.kind() == StoreErrorKind::ReadOnly));
    }
    let queue = Queue::default();
    assert!(client.pause(&queue).await.is_err() && client.resume(&queue).await.is_err());
    assert!(client.purge(1).await.is_err() && client.sessions().await.is_err());
    assert!(
        client
            .list(&TaskFilter::default(), &Page::first(1))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_pending_task_is_rescheduled_and_edited() {
    let world = World::new();
    let (client, _) = client(&world);
    let id = client.enqueue(job("good").delay(SECOND * 100)).await.unwrap().id;
    let at = world.now().saturating_add(SECOND * 50);
    assert_eq!(client.reschedule(id, at).await.unwrap().task.run_at, at);
    let mut headers = Headers::new();
    headers.insert("k", "v").unwrap();
    let changes = Changes {
        payload: Some(Payload::encode(&7).unwrap()),
        headers: Some(headers),
    };
    let edited = client.edit(id, changes).await.unwrap();
    assert_eq!(
        (edited.payload.as_json(), edited.headers.get("k")),
        ("7", Some("v"))
    );
    assert_eq!(edited.task.run_at, at, "an edit does not move it");
    assert_eq!(client.run_now(id).await.unwrap().task.run_at, world.now());
    is_state(client.rerun(id).await, State::Pending);
    is_state(client.delete(id).await, State::Pending);
    is_state(client.release(id).await, State::Pending);
    run(&world).await;
    assert_eq!(world.state(id).await, State::Succeeded);
    is_state(client.reschedule(id, at).await, State::Succeeded);
    is_state(client.edit(id, Changes::default()).await, State::Succeeded);
    is_state(client.cancel(id).await, State::Succeeded);
}

#[tokio::test]
async fn an_ended_task_runs_again_or_is_forgotten() {
    let world = World::new();
    let (client, _) = client(&world);
    let id = client.enqueue(job("bad").retry(each_second(1))).await.unwrap().id;
    run(&world).await;
    assert_eq!(world.state(id).await, State::Failed);
    let again = client.rerun(id).await.unwrap();
    assert_eq!(
        (again.task.state, again.task.attempt, again.task.reruns),
        (State::Pending, 0, 1)
    );
    run(&world).await;
    let again = client.rerun_from_start(id).await.unwrap();
    assert_eq!((again.task.step, again.task.reruns), (0, 2));
    assert_eq!(client.cancel(id).await.unwrap(), Cancelled::Now);
    client.delete(id).await.unwrap();
    assert_eq!(client.get(id).await.unwrap(), None);
}

#[tokio::test]
async fn a_rerun_retakes_its_key_or_names_the_holder() {
    let world = World::new();
    let (client, _) = client(&world);
    let draft = || job("bad").retry(each_second(1)).unique("u");
    let first = client.enqueue(draft()).await.unwrap().id;
    run(&world).await;
    let second = client.enqueue(draft().delay(SECOND * 100)).await.unwrap();
    assert!(second.is_new());
    let taken = client.rerun(first).await;
    assert!(
        matches!(taken, Err(Error::KeyTaken(holder)) if holder == second.id),
        "{taken:?}"
    );
    client.cancel(second.id).await.unwrap();
    assert!(client.rerun(first).await.unwrap().task.holds_key);
}

#[tokio::test]
async fn a_rerun_of_a_child_whose_parent_went_on_is_refused() {
    let world = World::new();
    let (client, _) = client(&world);
    let parent = client.enqueue(job("parent")).await.unwrap().id;
    let splits = script(|ctx| async move {
        Ok(if ctx.step() == 0 {
            Outcome::split([job("good")])
        } else {
            Outcome::Done
        })
    });
    let worker = world
        .worker()
        .kind("parent", splits)
        .kind("good", done())
        .build()
        .unwrap();
    world.finish("the tick", worker.tick(SECOND * 60)).await.unwrap();
    assert_eq!(world.state(parent).await, State::Succeeded);
    let filter = TaskFilter {
        parent: Some(parent),
        ..TaskFilter::default()
    };
    let child = world.list(filter).await[0].id;
    let refused = client.rerun(child).await;
    assert!(
        matches!(&refused, Err(Error::Changed(detail)) if detail.task.id == child),
        "{refused:?}"
    );
    client.delete(child).await.unwrap();
}

/// Every answer is lost once; the edit stands once all the same.
#[tokio::test]
async fn an_edit_with_an_unknown_outcome_is_sent_again() {
    for fault in [Fault::Answerless, Fault::Lost] {
        let world = World::new();
        let (client, store) = client(&world);
        let unknown = || store.plan(Op::Exchange, &fault, 2);
        let id = client.enqueue(job("good")).await.unwrap().id;
        unknown();
        let cancelled = world.finish("the cancel", client.cancel(id)).await;
        assert_eq!(cancelled.unwrap(), Cancelled::Now);
        unknown();
        let again = world.finish("the rerun", client.rerun(id)).await.unwrap();
        assert_eq!((again.task.state, again.task.reruns), (State::Pending, 1));
        client.cancel(id).await.unwrap();
        unknown();
        world.finish("the deletion", client.delete(id)).await.unwrap();
        assert_eq!(client.get(id).await.unwrap(), None);
        store.plan(Op::SetQueue, &fault, 2);
        world
            .finish("the pause", client.pause(&Queue::default()))
            .await
            .unwrap();
        assert!(client.queues().await.unwrap()[0].paused);
    }
}

/// The rerun was written, its answer lost, and the task ended again before it was sent again.
#[tokio::test]
async fn an_edit_is_not_made_twice_when_the_task_has_moved_on() {
    let world = World::new();
    let (client, store) = client(&world);
    let id = client.enqueue(job("bad").retry(each_second(1))).await.unwrap().id;
    run(&world).await;
    store.plan(Op::Exchange, &Fault::Answerless, 1);
    let mut rerun = Box::pin(client.rerun(id));
    assert!((&mut rerun).now_or_never().is_none());
    let worker = world
        .worker()
        .kind("bad", script(|_| async { Err("bad".into()) }));
    let handle = worker.build().unwrap().start();
    crate::engine::tests::harness::quiet().await;
    assert_eq!(world.state(id).await, State::Failed);
    let answer = world.finish("the rerun", rerun).await;
    assert!(
        matches!(&answer, Err(Error::Changed(detail)) if detail.task.state == State::Failed),
        "{answer:?}"
    );
    assert_eq!(world.detail(id).await.task.reruns, 1);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_task_that_changes_meanwhile_is_decided_anew() {
    let world = World::new();
    let (client, store) = client(&world);
    let id = client.enqueue(job("good").delay(SECOND * 100)).await.unwrap().id;
    let gate = CancellationToken::new();
    store.plan(Op::Exchange, &Fault::HoldCall(gate.clone()), 1);
    let at = world.now().saturating_add(SECOND * 7);
    let mut first = Box::pin(client.reschedule(id, at));
    assert!((&mut first).now_or_never().is_none());
    world.client.run_now(id).await.unwrap();
    gate.cancel();
    assert_eq!(first.await.unwrap().task.run_at, at);
    // And one that ends meanwhile is refused by its new state.
    let gate = CancellationToken::new();
    store.plan(Op::Exchange, &Fault::HoldCall(gate.clone()), 1);
    let mut second = Box::pin(client.reschedule(id, at));
    assert!((&mut second).now_or_never().is_none());
    world.client.cancel(id).await.unwrap();
    gate.cancel();
    is_state(second.await, State::Cancelled);
}

#[tokio::test]
async fn a_task_that_never_stands_still_is_told_as_changed() {
    let world = World::new();
    let (client, store) = client(&world);
    let id = client.enqueue(job("good").delay(SECOND * 100)).await.unwrap().id;
    let mut edit = Box::pin(client.run_now(id));
    let mut answer = None;
    for n in 0..20 {
        let gate = CancellationToken::new();
        store.plan(Op::Exchange, &Fault::HoldCall(gate.clone()), 1);
        if answer.is_none() {
            answer = (&mut edit).now_or_never();
        }
        let at = world.now().saturating_add(SECOND * (n + 200));
        world.client.reschedule(id, at).await.unwrap();
        gate.cancel();
    }
    let answer = answer.expect("it gives up");
    assert!(
        matches!(&answer, Err(Error::Changed(detail)) if detail.task.id == id),
        "{answer:?}"
    );
}

#[tokio::test]
async fn listings_counts_queues_and_purges_reach_the_store() {
    let world = World::new();
    let (client, _) = client(&world);
    for _ in 0..5 {
        client.enqueue(job("good")).await.unwrap();
    }
    run(&world).await;
    let filter = TaskFilter::default();
    let first = client.list(&filter, &Page::first(3)).await.unwrap();
    assert_eq!(first.tasks.len(), 3);
    let page = Page {
        after: first.next,
        limit: 3,
    };
    assert_eq!(client.list(&filter, &page).await.unwrap().tasks.len(), 2);
    assert_eq!(
        client
            .count(&CountScope::default())
            .await
            .unwrap()
            .of(State::Succeeded),
        5
    );
    client.pause(&Queue::default()).await.unwrap();
    assert!(client.queues().await.unwrap()[0].paused);
    assert_eq!(client.purge(100).await.unwrap(), 0);
    world.clock.advance(SECOND * 24 * 3_600);
    assert_eq!(client.purge(2).await.unwrap(), 2);
    assert_eq!(client.purge(100).await.unwrap(), 3);
}

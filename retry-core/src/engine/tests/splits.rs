//! Parents and children.

use std::sync::{Arc, Mutex};

use super::harness::{SECOND, WithKind as _, World, done, each_second, job, quiet, script};
use crate::client::Error;
use crate::engine::WorkerBuilder;
use crate::executor::Outcome;
use crate::id::TaskId;
use crate::machine::Rejected;
use crate::store::{Page, TaskFilter};
use crate::task::{Children, FailedChildren, State, Task};

/// Splits into `good` children that succeed and `bad` ones that fail, then is done.
fn splitting(worker: WorkerBuilder, good: usize, bad: usize) -> WorkerBuilder {
    let parent = script(move |ctx| async move {
        if ctx.step() > 0 {
            return Ok(Outcome::output(&ctx.children())?);
        }
        let children = (0..good).map(|_| job("good"));
        let failing = (0..bad).map(|_| job("bad").retry(each_second(1)));
        Ok(Outcome::split(children.chain(failing)))
    });
    let bad = script(|ctx| async move {
        if ctx.reruns() > 0 {
            Ok(Outcome::Done)
        } else {
            Err("bad".into())
        }
    });
    worker
        .kind("parent", parent)
        .kind("good", done())
        .kind("bad", bad)
}

async fn children(world: &World, parent: TaskId) -> Vec<Task> {
    let filter = TaskFilter {
        parent: Some(parent),
        ..TaskFilter::default()
    };
    let listed = world.client.list(&filter, &Page::first(1_000)).await.unwrap();
    listed.tasks.into_iter().map(|row| row.task).collect()
}

const fn counts(total: u32, open: u32, failed: u32) -> Children {
    Children { total, open, failed }
}

#[tokio::test]
async fn the_next_step_runs_when_all_children_have_ended() {
    let world = World::new();
    let id = world.enqueue(job("parent")).await;
    let handle = splitting(world.worker(), 3, 1).build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.step), (State::Succeeded, 1));
    assert_eq!(ended.task.children, counts(4, 0, 1));
    assert_eq!(
        ended.output.unwrap().as_json(),
        r#"{"total":4,"open":0,"failed":1}"#
    );
    assert!(world.elapsed() < SECOND * 3, "{:?}", world.elapsed());
    world.shut_down(handle).await;
}

#[tokio::test]
async fn failed_children_fail_the_parent_by_its_policy() {
    let world = World::new();
    let id = world
        .enqueue(job("parent").on_failed_children(FailedChildren::Fail))
        .await;
    let handle = splitting(world.worker(), 2, 1).build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.step), (State::Failed, 1));
    assert_eq!(ended.last_error.unwrap().as_str(), "1 of 3 children failed");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn children_of_an_earlier_life_do_not_fail_a_parent_that_was_rerun_from_its_start() {
    let world = World::new();
    let draft = job("parent").on_failed_children(FailedChildren::Fail);
    let id = world.enqueue(draft).await;
    let parent = script(|ctx| async move {
        Ok(match (ctx.step(), ctx.reruns()) {
            (0, 0) => Outcome::split([job("bad").retry(each_second(1)), job("good")]),
            (0, _) => Outcome::split([job("good"), job("good"), job("good")]),
            _ => Outcome::Done,
        })
    });
    let bad = script(|_| async { Err("bad".into()) });
    let worker = world.worker().kind("parent", parent).kind("bad", bad);
    let handle = worker.kind("good", done()).build().unwrap().start();
    assert_eq!(world.until_final(id).await.task.state, State::Failed);
    world.client.rerun_from_start(id).await.unwrap();
    let ended = world.until_final(id).await.task;
    assert_eq!((ended.state, ended.children), (State::Succeeded, counts(5, 0, 1)));
    let progress = world.client.batch(id).await.unwrap().unwrap();
    assert_eq!(progress.shards, counts(3, 0, 0));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_parent_on_hold_goes_on_after_a_release_or_a_rerun() {
    let world = World::new();
    let draft = || job("parent").on_failed_children(FailedChildren::Hold);
    let (released, repaired) = (world.enqueue(draft()).await, world.enqueue(draft()).await);
    let handle = splitting(world.worker(), 1, 1).build().unwrap().start();
    for id in [released, repaired] {
        let all_ended = async || {
            let task = world.detail(id).await.task;
            task.state == State::Joining && task.children.open == 0
        };
        world.until("the children end", all_ended).await;
    }
    world.pass(SECOND * 60).await;
    assert_eq!(world.state(released).await, State::Joining);
    world.client.release(released).await.unwrap();
    assert_eq!(world.until_final(released).await.task.state, State::Succeeded);
    let failed = children(&world, repaired).await;
    let failed = failed.iter().find(|child| child.state == State::Failed).unwrap();
    world.client.rerun(failed.id).await.unwrap();
    assert_eq!(world.detail(repaired).await.task.children, counts(2, 1, 0));
    let again = world.client.release(repaired).await;
    assert!(
        matches!(again, Err(Error::Rejected(Rejected::ChildrenOpen))),
        "{again:?}"
    );
    let ended = world.until_final(repaired).await;
    assert_eq!(
        (ended.task.state, ended.task.children),
        (State::Succeeded, counts(2, 0, 0))
    );
    let late = world.client.rerun(failed.id).await;
    assert!(matches!(late, Err(Error::Changed(_))), "{late:?}");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn an_empty_split_goes_on_at_once() {
    let world = World::new();
    let id = world.enqueue(job("parent")).await;
    let handle = splitting(world.worker(), 0, 0).build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.step), (State::Succeeded, 1));
    assert!(world.elapsed() < SECOND, "{:?}", world.elapsed());
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_thousand_children_fit_and_one_more_does_not() {
    let world = World::new();
    let id = world.enqueue(job("parent")).await;
    let handle = splitting(world.worker(), 1_000, 0).build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!(
        (ended.task.state, ended.task.children),
        (State::Succeeded, counts(1_000, 0, 0))
    );
    world.shut_down(handle).await;
    let id = world.enqueue(job("parent")).await;
    let handle = splitting(world.worker(), 1_001, 0).build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Failed, 1));
    let error = ended.last_error.unwrap();
    assert!(
        error.as_str().contains("a split of 1001 children, at most 1000"),
        "{error}"
    );
    assert_eq!(children(&world, id).await, []);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn splits_nest() {
    let world = World::new();
    let id = world.enqueue(job("root")).await;
    let depths: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&depths);
    let node = move |child: &'static str| {
        let seen = Arc::clone(&seen);
        script(move |ctx| {
            seen.lock()
                .unwrap()
                .push(format!("{}:{}", ctx.kind(), ctx.step()));
            async move {
                Ok(match ctx.step() {
                    0 => Outcome::split([job(child), job(child)]),
                    _ => Outcome::Done,
                })
            }
        })
    };
    let worker = world
        .worker()
        .kind("root", node("middle"))
        .kind("middle", node("leaf"));
    let handle = worker.kind("leaf", done()).build().unwrap().start();
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    let runs = depths.lock().unwrap().clone();
    assert_eq!(
        runs,
        ["root:0", "middle:0", "middle:0", "middle:1", "middle:1", "root:1"]
    );
    assert!(world.elapsed() < SECOND * 5, "{:?}", world.elapsed());
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_task_splits_in_each_of_its_steps() {
    let world = World::new();
    let id = world.enqueue(job("parent")).await;
    let parent = script(|ctx| async move {
        Ok(match ctx.step() {
            step @ 0..3 => Outcome::split((0..=step).map(|_| job("good"))),
            _ => Outcome::Done,
        })
    });
    let worker = world.worker().kind("parent", parent).kind("good", done());
    let handle = worker.build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.step, ended.task.children), (3, counts(6, 0, 0)));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_split_of_a_task_that_is_being_cancelled_inserts_nothing() {
    let world = World::new();
    let id = world.enqueue(job("parent")).await;
    let parent = script(|ctx| async move {
        ctx.cancelled().await;
        Ok(Outcome::split([job("good")]))
    });
    let worker = world.worker().kind("parent", parent).kind("good", done());
    let handle = worker.build().unwrap().start();
    world.until_state(id, State::Running).await;
    quiet().await;
    world.client.cancel(id).await.unwrap();
    let ended = world.until_final(id).await;
    assert_eq!(
        (ended.task.state, ended.task.children),
        (State::Cancelled, counts(0, 0, 0))
    );
    assert_eq!(children(&world, id).await, []);
    world.shut_down(handle).await;
}

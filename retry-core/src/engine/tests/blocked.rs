//! Unique keys in somebody else's open transaction: what takes one waits, and holds up nobody else.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::faulty::{Fault, FaultyStore, Op};
use super::harness::{Meter, SECOND, WithKind as _, World, job, quiet, script};
use crate::engine::blocked::MOST_BLOCKED;
use crate::executor::{Executor, Outcome};
use crate::id::TaskId;
use crate::name::Kind;
use crate::store::{StoreErrorKind, TaskFilter};
use crate::task::{State, Task};

/// How long a store waits for a lock, all its tries together.
const WAIT: Duration = Duration::from_secs(10);

/// Succeeds; a task with the header `key` enqueues a task under that key.
fn follows(runs: &Meter) -> std::sync::Arc<dyn Executor> {
    let runs = runs.clone();
    script(move |ctx| {
        drop(runs.enter());
        if let Some(key) = ctx.headers().get("key") {
            ctx.enqueue_on_success(job("follow-up").unique(key));
        }
        async { Ok(Outcome::Done) }
    })
}

async fn enqueue(world: &World, key: Option<&str>) -> TaskId {
    let draft = job("a");
    let draft = match key {
        Some(key) => draft.header("key", key),
        None => draft,
    };
    world.enqueue(draft).await
}

fn hold(world: &World, store: &FaultyStore) {
    store.hold_keys(&world.clock, WAIT, &["held", "held too"]);
}

async fn follow_ups(world: &World) -> Vec<Task> {
    let kinds = vec![Kind::new("follow-up").unwrap()];
    world
        .list(TaskFilter {
            kinds,
            ..TaskFilter::default()
        })
        .await
}

#[tokio::test]
async fn what_waits_for_a_key_holds_up_nobody_else() {
    let world = World::new();
    let (store, runs) = (world.store(), Meter::default());
    hold(&world, &store);
    let (mut blocked, mut others) = (Vec::new(), Vec::new());
    for n in 0..100 {
        match n % 10 {
            3 => blocked.push(enqueue(&world, Some("held")).await),
            6 => blocked.push(enqueue(&world, Some("held too")).await),
            7 => others.push(enqueue(&world, Some(&format!("free {n}"))).await),
            _ => others.push(enqueue(&world, None).await),
        }
    }
    let worker = world.worker_on(&store).concurrency(100).kind("a", follows(&runs));
    let handle = worker.build().unwrap().start();
    for id in &others {
        let ended = world.until_final(*id).await;
        assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 1));
    }
    assert!(
        world.elapsed() <= WAIT * 5,
        "one exchange in vain, and one for each key that is held: {:?}",
        world.elapsed()
    );
    // From here on the pump knows those keys.
    for _ in 0..20 {
        let since = world.elapsed();
        blocked.push(enqueue(&world, Some("held")).await);
        let next = enqueue(&world, None).await;
        world.until_final(next).await;
        assert!(world.elapsed() <= since + SECOND, "{:?}", world.elapsed() - since);
    }
    for id in &blocked {
        assert_eq!(world.state(*id).await, State::Running);
    }
    let freed = world.elapsed();
    store.free_keys();
    for id in &blocked {
        let ended = world.until_final(*id).await;
        assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 1));
    }
    assert!(
        world.elapsed() <= freed + WAIT + SECOND * 3,
        "{:?}",
        world.elapsed() - freed
    );
    assert_eq!(runs.total(), 140);
    let keys = follow_ups(&world).await.len();
    assert_eq!(keys, 12, "one for each key");
    world.shut_down(handle).await;
}

/// A store that waits for a lock for longer than the worker waits for a call gives no answer at all.
#[tokio::test]
async fn what_waits_too_long_holds_up_nobody_else_either() {
    let world = World::new();
    let (store, runs) = (world.store(), Meter::default());
    store.hold_keys(&world.clock, SECOND * 100, &["held"]);
    let blocked = enqueue(&world, Some("held")).await;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(enqueue(&world, None).await);
    }
    let worker = world.worker_on(&store).concurrency(50).kind("a", follows(&runs));
    let handle = worker.build().unwrap().start();
    for id in &others {
        world.until_final(*id).await;
    }
    assert!(world.elapsed() <= SECOND * 40, "two calls: {:?}", world.elapsed());
    let next = enqueue(&world, None).await;
    let since = world.elapsed();
    world.until_final(next).await;
    assert!(world.elapsed() <= since + SECOND, "{:?}", world.elapsed() - since);
    assert_eq!(world.state(blocked).await, State::Running);
    store.free_keys();
    let ended = world.until_final(blocked).await;
    assert_eq!((ended.task.state, runs.total()), (State::Succeeded, 22));
    world.shut_down(handle).await;
}

/// A store may be too busy for another reason: then no key is held, and each alone would cost a call.
#[tokio::test]
async fn what_waits_for_nobody_is_soon_written() {
    let world = World::new();
    let store = world.store();
    let gate = CancellationToken::new();
    let opened = gate.clone();
    let executor = script(move |ctx| {
        ctx.enqueue_on_success(job("follow-up").unique(ctx.headers().get("key").unwrap()));
        let opened = opened.clone();
        async move {
            opened.cancelled().await;
            Ok(Outcome::Done)
        }
    });
    let drafts = (0..400).map(|n| job("a").header("key", format!("free {n}")));
    let tasks = world.client.enqueue_many(drafts).await.unwrap();
    let worker = world.worker_on(&store).concurrency(400).kind("a", executor);
    let handle = worker.build().unwrap().start();
    world.until("all run", async || handle.running() == 400).await;
    let (since, before) = (world.elapsed(), store.calls(Op::Exchange));
    store.plan(Op::Exchange, &Fault::Rejected(StoreErrorKind::Busy), 1);
    gate.cancel();
    for task in &tasks {
        world.until_final(task.id).await;
    }
    assert_eq!(follow_ups(&world).await.len(), 400);
    assert!(world.elapsed() <= since + SECOND);
    let exchanges = store.calls(Op::Exchange) - before;
    assert!(exchanges < 40, "{exchanges} exchanges");
    world.shut_down(handle).await;
}

#[tokio::test]
async fn what_waited_and_is_refused_for_good_fails_its_task() {
    let world = World::new();
    let (store, runs) = (world.store(), Meter::default());
    hold(&world, &store);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(enqueue(&world, Some("held")).await);
    }
    let worker = world.worker_on(&store).kind("a", follows(&runs));
    let handle = worker.build().unwrap().start();
    world.pass(WAIT * 2).await;
    assert_eq!(runs.total(), 5);
    store.refuse(|edit| edit.insert.iter().any(|new| new.kind.as_str() == "follow-up"));
    store.free_keys();
    for id in &ids {
        let ended = world.until_final(*id).await;
        assert_eq!((ended.task.state, ended.task.attempt), (State::Failed, 1));
        assert!(ended.last_error.unwrap().as_str().contains("cannot be stored"));
    }
    let exchanges = store.calls(Op::Exchange);
    assert!(exchanges < 100, "{exchanges}");
    world.shut_down(handle).await;
}

/// A store may hold a parent's record while it waits for a key that the outcome of its child needs.
#[tokio::test]
async fn the_ends_of_siblings_wait_together() {
    let world = World::new();
    let (store, runs) = (world.store(), Meter::default());
    hold(&world, &store);
    let gate = CancellationToken::new();
    let (first, opened) = (follows(&runs), gate.clone());
    let split = script(|ctx| async move {
        match ctx.step() {
            0 => Ok(Outcome::Split(vec![job("a").header("key", "held"), job("later")])),
            _ => Ok(Outcome::Done),
        }
    });
    let later = script(move |_| {
        let opened = opened.clone();
        async move {
            opened.cancelled().await;
            Ok(Outcome::Done)
        }
    });
    let worker = world.worker_on(&store).kind("a", first);
    let worker = worker.kind("split", split).kind("later", later);
    let handle = worker.build().unwrap().start();
    let parent = world.enqueue(job("split")).await;
    world.pass(WAIT * 2).await;
    gate.cancel();
    world.pass(WAIT).await;
    let alone = enqueue(&world, None).await;
    world.until_final(alone).await;
    let children = world.detail(parent).await.task.children;
    assert_eq!((children.total, children.open), (2, 2));
    store.free_keys();
    assert_eq!(world.until_final(parent).await.task.state, State::Succeeded);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn so_much_may_wait_and_no_more() {
    let world = World::new();
    let (store, runs) = (world.store(), Meter::default());
    hold(&world, &store);
    let many = MOST_BLOCKED + 2_000;
    let drafts = (0..many)
        .map(|_| job("a").header("key", "held"))
        .collect::<Vec<_>>();
    for some in drafts.chunks(1_000) {
        world.client.enqueue_many(some.to_vec()).await.unwrap();
    }
    let worker = world.worker_on(&store).concurrency(500).kind("a", follows(&runs));
    let handle = worker.build().unwrap().start();
    world.pass(WAIT * 20).await;
    let most = MOST_BLOCKED + 3 * 1_000;
    assert!(
        (MOST_BLOCKED..most.min(many)).contains(&runs.total()),
        "{} ran",
        runs.total()
    );
    store.free_keys();
    world
        .until("all run", async || runs.total() == many && handle.running() == 0)
        .await;
    world.pass(SECOND * 20).await;
    assert_eq!(follow_ups(&world).await.len(), 1);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_it_for_long() {
    let world = World::new();
    let (store, runs) = (world.store(), Meter::default());
    hold(&world, &store);
    let id = enqueue(&world, Some("held")).await;
    let worker = world.worker_on(&store).kind("a", follows(&runs));
    let handle = worker.build().unwrap().start();
    world.pass(WAIT * 3).await;
    assert_eq!((world.state(id).await, runs.total()), (State::Running, 1));
    let since = world.elapsed();
    world.shut_down(handle).await;
    assert!(
        world.elapsed() <= since + SECOND * 60,
        "{:?}",
        world.elapsed() - since
    );
    // What was not written is done again.
    store.free_keys();
    let second = world.worker_on(&store).kind("a", follows(&runs));
    let second = second.build().unwrap().start();
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    assert_eq!(follow_ups(&world).await.len(), 1);
    quiet().await;
    world.shut_down(second).await;
}

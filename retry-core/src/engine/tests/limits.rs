//! Hard limits, prefetch, and what they must not do to others.

use std::time::Duration;

use super::faulty::{Fault, Op};
use super::harness::{Meter, SECOND, WithKind as _, World, done, each_second, job, quiet, script, stuck};
use crate::clock::Clock as _;
use crate::draft::TaskOptions;
use crate::engine::KindOptions;
use crate::executor::{Executor, Outcome};
use crate::id::TaskId;
use crate::store::{Page, TaskFilter};
use crate::task::State;

/// Takes `span` and is counted meanwhile; every third attempt panics.
fn slow(world: &World, meter: &Meter, span: Duration) -> std::sync::Arc<dyn Executor> {
    let (meter, clock) = (meter.clone(), world.clock.clone());
    script(move |ctx| {
        let (meter, clock) = (meter.clone(), clock.clone());
        async move {
            let _inside = meter.enter();
            clock.sleep_until(clock.monotonic() + span).await;
            assert!(
                ctx.attempt() > 1 || ctx.version() % 3 != 0 || meter.total() % 3 != 0,
                "now and then"
            );
            Ok(Outcome::Done)
        }
    })
}

async fn many(world: &World, kind: &str, queue: &str, n: usize) -> Vec<TaskId> {
    let drafts = (0..n).map(|_| job(kind).queue(queue));
    let enqueued = world.client.enqueue_many(drafts).await.unwrap();
    enqueued.iter().map(|enqueued| enqueued.id).collect()
}

async fn all_end(world: &World, ids: &[TaskId]) {
    world
        .until("all end", async || {
            let mut ended = true;
            for id in ids {
                ended &= world.state(*id).await.is_final();
            }
            ended
        })
        .await;
}

#[tokio::test]
async fn no_limit_is_ever_exceeded() {
    let world = World::new();
    let [all, queue, kind] = [Meter::default(), Meter::default(), Meter::default()];
    let step = Duration::from_millis(100);
    let mut ids = many(&world, "free", "a", 60).await;
    ids.extend(many(&world, "free", "b", 60).await);
    ids.extend(many(&world, "limited", "a", 60).await);
    ids.extend(many(&world, "limited", "b", 60).await);
    let (everything, in_b, clock, of_kind) = (all.clone(), queue.clone(), world.clock.clone(), kind.clone());
    let executor = |meter: Meter| {
        let (everything, in_b, clock) = (everything.clone(), in_b.clone(), clock.clone());
        script(move |ctx| {
            let inside = [
                Some(everything.enter()),
                Some(meter.enter()),
                (ctx.queue().as_str() == "b").then(|| in_b.enter()),
            ];
            let clock = clock.clone();
            async move {
                clock.sleep_until(clock.monotonic() + step).await;
                assert!(
                    ctx.attempt() > 1 || ctx.id().to_bytes()[15] % 4 > 0,
                    "now and then"
                );
                drop(inside);
                Ok(Outcome::Done)
            }
        })
    };
    let worker = world.worker().concurrency(10).queue("a").queue_with_limit("b", 4);
    let worker = worker.kind("free", executor(Meter::default())).kind_with(
        "limited",
        executor(of_kind),
        KindOptions::new().concurrency(3),
    );
    let handle = worker.build().unwrap().start();
    all_end(&world, &ids).await;
    assert_eq!(
        (all.most(), queue.most(), kind.most()),
        (10, 4, 3),
        "reached and never exceeded"
    );
    quiet().await;
    assert_eq!(handle.running(), 0, "no permit leaks");
    // 120 limited tasks, three at a time, and their retries: never idle in between.
    assert!(world.elapsed() < SECOND * 12, "{:?}", world.elapsed());
    world.shut_down(handle).await;
}

#[tokio::test]
async fn kinds_of_one_attempt_are_never_claimed_ahead() {
    let world = World::new();
    let store = world.store();
    let mut ids = many(&world, "once", "a", 30).await;
    ids.extend(many(&world, "once", "b", 30).await);
    ids.extend(many(&world, "other-once", "a", 30).await);
    ids.extend(many(&world, "often", "a", 30).await);
    let inside = Meter::default();
    let slow = slow(&world, &inside, SECOND);
    let once = TaskOptions::new().retry(each_second(1));
    let worker = world.worker_on(&store).concurrency(5).queue("a").queue("b");
    let worker = worker
        .executor("once", slow.clone(), once.clone(), KindOptions::new())
        .executor("other-once", slow.clone(), once, KindOptions::new())
        .kind("often", slow);
    let handle = worker.build().unwrap().start();
    let claimed_ahead = async || {
        let filter = TaskFilter {
            states: vec![State::Running],
            ..TaskFilter::default()
        };
        let running = world.client.list(&filter, &Page::first(100)).await.unwrap().tasks;
        let once = running
            .iter()
            .filter(|row| row.task.kind.as_str() != "often")
            .count();
        assert!(once <= 5, "{once} of them are held, five can run");
        let mut ended = true;
        for id in &ids {
            ended &= world.state(*id).await.is_final();
        }
        ended
    };
    world.until("all end", claimed_ahead).await;
    assert_eq!(inside.most(), 5);
    world.shut_down(handle).await;
}

/// A steady backlog of tasks that may be claimed ahead keeps every permit busy; the others must get theirs.
#[tokio::test]
async fn kinds_of_one_attempt_do_not_starve() {
    let world = World::new();
    let busy = many(&world, "often", "default", 2_000).await;
    let inside = Meter::default();
    let slow = slow(&world, &inside, Duration::from_millis(200));
    let once = TaskOptions::new().retry(each_second(1));
    let worker = world
        .worker()
        .concurrency(5)
        .executor("once", done(), once, KindOptions::new());
    let handle = worker.kind("often", slow).build().unwrap().start();
    world.pass(SECOND * 5).await;
    let id = world.enqueue(job("once")).await;
    let since = world.elapsed();
    world.until_final(id).await;
    assert!(
        world.elapsed() <= since + SECOND * 3,
        "{:?}",
        world.elapsed() - since
    );
    assert_eq!(inside.most(), 5);
    drop((handle, busy));
    quiet().await;
}

#[tokio::test]
async fn prefetch_is_bounded() {
    for (prefetch, held) in [(0, 2), (3, 5), (10, 12)] {
        let world = World::new();
        let ids = many(&world, "a", "default", 40).await;
        let worker = world
            .worker()
            .concurrency(2)
            .prefetch(prefetch)
            .kind("a", stuck());
        let handle = worker
            .cancel_grace(SECOND)
            .shutdown_grace(SECOND)
            .build()
            .unwrap()
            .start();
        world.pass(SECOND * 3).await;
        let mut running = 0;
        for id in &ids {
            running += usize::from(world.state(*id).await == State::Running);
        }
        assert_eq!((running, handle.running()), (held, 2));
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn suspects_are_claimed_a_few_at_a_time() {
    let world = World::new();
    let store = world.store();
    let ids = many(&world, "a", "default", 12).await;
    let worker = world.worker_on(&store).concurrency(12).kind("a", stuck());
    let crashing = worker.build().unwrap().start();
    world.pass(SECOND).await;
    store.all(Some(Fault::Lost));
    drop(crashing);
    let watcher = world.worker().kind("other", done()).build().unwrap().start();
    world.pass(SECOND * 30).await;
    world.shut_down(watcher).await;
    let meter = Meter::default();
    let slow = slow(&world, &meter, Duration::from_millis(100));
    let handle = world
        .worker()
        .concurrency(2)
        .prefetch(10)
        .kind("a", slow)
        .build()
        .unwrap()
        .start();
    let few = async || {
        let filter = TaskFilter {
            states: vec![State::Running],
            ..TaskFilter::default()
        };
        let held = world
            .client
            .list(&filter, &Page::first(100))
            .await
            .unwrap()
            .tasks
            .len();
        assert!(held <= 3, "{held} suspects are held, two run and one may wait");
        let mut ended = true;
        for id in &ids {
            ended &= world.state(*id).await.is_final();
        }
        ended
    };
    let since = world.elapsed();
    world.until("all end", few).await;
    assert!(
        world.elapsed() < since + SECOND * 2,
        "{:?}",
        world.elapsed() - since
    );
    world.shut_down(handle).await;
}

/// One source cannot be served; the next due time of another one counts all the same.
#[tokio::test]
async fn a_full_queue_does_not_hide_another_ones_due_time() {
    let world = World::new();
    let store = world.store();
    store.deafen();
    many(&world, "stuck", "full", 5).await;
    let worker = world
        .worker_on(&store)
        .queue_with_limit("full", 1)
        .queue("other")
        .prefetch(0);
    let worker = worker.kind("stuck", stuck()).kind("a", done());
    let handle = worker.build().unwrap().start();
    world.pass(SECOND * 11).await;
    let id = world
        .enqueue(job("a").queue("other").delay(Duration::from_millis(1_700)))
        .await;
    let since = world.elapsed();
    world.until_final(id).await;
    assert!(
        world.elapsed() <= since + Duration::from_millis(1_750),
        "{:?}",
        world.elapsed() - since
    );
    drop(handle);
    quiet().await;
}

/// A kind at its limit is asked for again as soon as one of its tasks ends, though the other kinds had nothing.
#[tokio::test]
async fn a_limited_kind_runs_back_to_back_beside_idle_ones() {
    let world = World::new();
    let store = world.store();
    store.deafen();
    let ids = many(&world, "limited", "default", 20).await;
    let meter = Meter::default();
    let slow = slow(&world, &meter, Duration::from_millis(100));
    let options = KindOptions::new().concurrency(1);
    let worker = world
        .worker_on(&store)
        .kind("idle", done())
        .kind_with("limited", slow, options);
    let handle = worker.build().unwrap().start();
    all_end(&world, &ids).await;
    assert_eq!(meter.most(), 1);
    assert!(
        world.elapsed() < Duration::from_millis(5_000),
        "{:?}",
        world.elapsed()
    );
    world.shut_down(handle).await;
}

#[tokio::test]
async fn more_kinds_than_a_claim_can_name() {
    let world = World::new();
    let mut worker = world.worker();
    let mut ids = Vec::new();
    for n in 0..150 {
        worker = worker.kind(&format!("kind-{n}"), done());
        ids.push(world.enqueue(job(&format!("kind-{n}"))).await);
    }
    let handle = worker.build().unwrap().start();
    all_end(&world, &ids).await;
    world.shut_down(handle).await;
}

#[tokio::test]
async fn an_earlier_task_is_not_hidden_by_a_backlog() {
    let world = World::new();
    let busy = many(&world, "a", "default", 3_000).await;
    world.clock.advance(SECOND * 10);
    let (meter, store) = (Meter::default(), world.store());
    store.deafen();
    let slow = slow(&world, &meter, Duration::from_millis(20));
    let worker = world.worker_on(&store).concurrency(2).prefetch(2).kind("a", slow);
    let handle = worker.build().unwrap().start();
    world.pass(SECOND).await;
    let early = crate::clock::ManualClock::START.saturating_sub(SECOND);
    let id = world.enqueue(job("a").run_at(early)).await;
    let since = world.elapsed();
    world.until_final(id).await;
    assert!(
        world.elapsed() <= since + Duration::from_millis(400),
        "{:?}",
        world.elapsed() - since
    );
    assert_eq!(store.calls(Op::Open), 1);
    drop((handle, busy));
    quiet().await;
}

/// The marks of a full claim hide it; when nothing is left behind them, what they hide comes at once.
#[tokio::test]
async fn the_end_of_a_backlog_shows_what_it_hid() {
    let world = World::new();
    let (store, meter) = (world.store(), Meter::default());
    store.deafen();
    let ids = many(&world, "a", "default", 4).await;
    let slow = slow(&world, &meter, Duration::from_millis(10));
    let worker = world.worker_on(&store).concurrency(1).prefetch(0).kind("a", slow);
    let handle = worker.build().unwrap().start();
    world.until_state(ids[1], State::Running).await;
    let early = crate::clock::ManualClock::START.saturating_sub(SECOND);
    let id = world.enqueue(job("a").run_at(early)).await;
    world.until_final(id).await;
    assert!(
        world.elapsed() < Duration::from_millis(100),
        "{:?}",
        world.elapsed()
    );
    world.shut_down(handle).await;
}

#[tokio::test]
async fn tasks_on_their_last_life_run_one_at_a_time() {
    let world = World::new();
    let store = world.store();
    let mut ids = Vec::new();
    for _ in 0..9 {
        ids.push(world.enqueue(job("a").crash_budget(2)).await);
    }
    let crashing = world
        .worker_on(&store)
        .kind("a", stuck())
        .build()
        .unwrap()
        .start();
    world.pass(SECOND).await;
    store.all(Some(Fault::Lost));
    drop(crashing);
    let watcher = world.worker().kind("other", done()).build().unwrap().start();
    world.pass(SECOND * 30).await;
    world.shut_down(watcher).await;
    let meter = Meter::default();
    let slow = slow(&world, &meter, Duration::from_millis(100));
    let handle = world.worker().kind("a", slow).build().unwrap().start();
    let since = world.elapsed();
    for id in ids {
        let ended = world.until_final(id).await.task;
        assert_eq!((ended.state, ended.attempt), (State::Succeeded, 2));
    }
    assert_eq!((meter.most(), meter.total()), (1, 9));
    assert!(
        world.elapsed() < since + SECOND * 2,
        "without pauses between them"
    );
    world.shut_down(handle).await;
}

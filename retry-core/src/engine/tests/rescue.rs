//! What the rescuer does: start deadlines, running deadlines, crash budgets, alarms.

use std::sync::{Arc, Mutex};

use super::faulty::{Fault, Op};
use super::harness::{Meter, SECOND, WithKind as _, World, done, each_second, job, quiet, script, stuck};
use crate::executor::Outcome;
use crate::id::{Nonce, TaskId};
use crate::store::TaskStoreExt as _;
use crate::task::{Action, Change, Edit, State, Target};

/// Gives a joining parent another child by an edit of its own, with the least of all ids.
pub(super) async fn adopt(world: &World, parent: TaskId) -> TaskId {
    let task = world.detail(parent).await.task;
    let mut bytes = parent.to_bytes();
    bytes[15] = 0;
    bytes[8..15].fill(0);
    let id = TaskId::from_bytes(bytes);
    let child = job("later").delay(SECOND * 1_000);
    let child = child.build(id, world.now(), 0, Some(parent)).unwrap();
    let to = Target {
        state: State::Joining,
        run_at: task.run_at,
        attempt: task.attempt,
        crashes: 0,
        step: task.step,
        session: None,
        cancel_requested: None,
        alarm_at: None,
        purge_at: None,
        holds_key: task.holds_key,
        failure: None,
        cold: None,
    };
    let change = Change {
        from: State::Joining,
        to,
        if_cancelled: None,
        if_completed: None,
        if_none_open: None,
    };
    let edit = Edit {
        id: parent,
        version: task.version,
        nonce: Nonce::from_random(7),
        action: Action::Set(change),
        insert: vec![child],
    };
    world.memory.apply(edit, world.now()).await.unwrap();
    id
}

#[tokio::test]
async fn a_task_that_did_not_begin_in_time_is_cancelled() {
    let world = World::new();
    let queue = crate::name::Queue::default();
    world.client.pause(&queue).await.unwrap();
    let id = world.enqueue(job("a").expires_after(SECOND * 10)).await;
    let handle = world.worker().kind("a", done()).build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Cancelled, 0));
    assert!(ended.last_error.unwrap().as_str().contains("expired"));
    assert!(world.elapsed() >= SECOND * 10 && world.elapsed() <= SECOND * 12);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_task_that_expired_in_the_buffer_does_not_run() {
    let world = World::new();
    let (first, second) = (
        world.enqueue(job("a")).await,
        world.enqueue(job("a").expires_after(SECOND * 10)).await,
    );
    let (runs, release) = (Meter::default(), tokio_util::sync::CancellationToken::new());
    let (count, gate) = (runs.clone(), release.clone());
    let executor = script(move |_| {
        let (inside, gate) = (count.enter(), gate.clone());
        async move {
            gate.cancelled().await;
            drop(inside);
            Ok(Outcome::Done)
        }
    });
    let handle = world
        .worker()
        .concurrency(1)
        .kind("a", executor)
        .build()
        .unwrap()
        .start();
    world.until_state(second, State::Running).await;
    world.pass(SECOND * 20).await;
    release.cancel();
    assert_eq!(world.until_final(first).await.task.state, State::Succeeded);
    let ended = world.until_final(second).await;
    assert_eq!(ended.task.state, State::Cancelled);
    assert_eq!(runs.total(), 1);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn an_attempt_past_its_deadline_is_taken_away_and_told() {
    let world = World::new();
    let id = world
        .enqueue(job("a").deadline_after(SECOND * 10).rescue_delay(SECOND))
        .await;
    let told: Arc<Mutex<Vec<(u32, f64)>>> = Arc::default();
    let (seen, clock) = (Arc::clone(&told), world.clock.clone());
    let executor = script(move |ctx| {
        use crate::clock::Clock as _;
        let (seen, clock) = (Arc::clone(&seen), clock.clone());
        async move {
            if ctx.attempt() > 1 {
                return Ok(Outcome::Done);
            }
            ctx.cancelled().await;
            seen.lock()
                .unwrap()
                .push((ctx.attempt(), clock.monotonic().since_start().as_secs_f64()));
            Err("stopped".into())
        }
    });
    let handle = world.worker().kind("a", executor).build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!(
        (ended.task.state, ended.task.attempt, ended.task.crashes),
        (State::Succeeded, 2, 0)
    );
    assert!(ended.failures[0].error.as_str().contains("deadline"));
    let told = told.lock().unwrap().clone();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].1 <= 11.1,
        "the old attempt is told with the rescue: {told:?}"
    );
    world.shut_down(handle).await;
}

/// The same worker claims a task again while its first attempt still runs: the second begins when the first has ended, and
/// the end of the first is none of its business.
#[tokio::test]
async fn two_attempts_of_one_task_in_one_worker_keep_apart() {
    let world = World::new();
    let id = world
        .enqueue(
            job("a")
                .deadline_after(SECOND * 5)
                .rescue_delay(SECOND)
                .retry(each_second(9)),
        )
        .await;
    let attempts: Arc<Mutex<Vec<(u32, bool)>>> = Arc::default();
    let (seen, meter) = (Arc::clone(&attempts), Meter::default());
    let (clock, inside) = (world.clock.clone(), meter.clone());
    let executor = script(move |ctx| {
        use crate::clock::Clock as _;
        let (seen, clock, inside) = (Arc::clone(&seen), clock.clone(), inside.enter());
        async move {
            let _inside = inside;
            if ctx.attempt() == 1 {
                // Deaf; ends when the second attempt has been claimed.
                clock.sleep_until(clock.monotonic() + SECOND * 8).await;
                seen.lock().unwrap().push((1, ctx.is_cancelled()));
                return Ok(Outcome::output("old")?);
            }
            clock.sleep_until(clock.monotonic() + SECOND * 2).await;
            seen.lock().unwrap().push((ctx.attempt(), ctx.is_cancelled()));
            Ok(Outcome::output("new")?)
        }
    });
    let worker = world.worker().cancel_grace(SECOND * 30).kind("a", executor);
    let handle = worker.build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!(
        (ended.task.attempt, ended.output.unwrap().as_json()),
        (2, "\"new\"")
    );
    assert_eq!(*attempts.lock().unwrap(), [(1, true), (2, false)]);
    world.pass(SECOND * 30).await;
    assert_eq!((handle.running(), meter.most()), (0, 1));
    world.shut_down(handle).await;
}

/// As before, but the other worker's rescuer takes the task: this worker learns it by the claim.
#[tokio::test]
async fn a_second_claim_tells_the_first_attempt_that_it_is_over() {
    let world = World::new();
    let store = world.store();
    store.always(Op::Expired, Some(Fault::Lost));
    let rescuer = world.worker().kind("other", done()).build().unwrap().start();
    let draft = job("a")
        .deadline_after(SECOND * 5)
        .rescue_delay(std::time::Duration::ZERO);
    let id = world.enqueue(draft).await;
    let told = Meter::default();
    let note = told.clone();
    let executor = script(move |ctx| {
        let note = note.clone();
        async move {
            if ctx.attempt() == 1 {
                ctx.cancelled().await;
                drop(note.enter());
                return Err("over".into());
            }
            Ok(Outcome::Done)
        }
    });
    let handle = world
        .worker_on(&store)
        .kind("a", executor)
        .build()
        .unwrap()
        .start();
    let ended = world.until_final(id).await;
    quiet().await;
    assert_eq!(
        (ended.task.state, ended.task.attempt, told.total()),
        (State::Succeeded, 2, 1)
    );
    assert!(world.elapsed() < SECOND * 8, "{:?}", world.elapsed());
    world.shut_down(handle).await;
    world.shut_down(rescuer).await;
}

#[tokio::test]
async fn a_deadline_spends_attempts_until_none_is_left() {
    let world = World::new();
    let id = world
        .enqueue(job("a").deadline_after(SECOND * 5).retry(each_second(2)))
        .await;
    let handle = world.worker().kind("a", stuck()).build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Failed, 2));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn crashes_are_counted_up_to_the_budget() {
    let world = World::new();
    let id = world
        .enqueue(job("a").retry(each_second(50)).crash_budget(3))
        .await;
    let watcher = world.worker().kind("other", done()).build().unwrap().start();
    for crash in 1..=3 {
        let store = world.store();
        let handle = world
            .worker_on(&store)
            .kind("a", stuck())
            .build()
            .unwrap()
            .start();
        world.until_state(id, State::Running).await;
        store.all(Some(Fault::Lost));
        drop(handle);
        let lost = async || world.state(id).await != State::Running;
        world.until("the lease is lost", lost).await;
        assert_eq!(world.detail(id).await.task.crashes, crash);
    }
    let ended = world.detail(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Failed, 3));
    assert!(ended.last_error.unwrap().as_str().contains("crash budget"));
    world.shut_down(watcher).await;
}

#[tokio::test]
async fn a_rescuer_that_fails_repeats_its_round() {
    let world = World::new();
    let store = world.store();
    let id = world
        .enqueue(job("a").expires_after(SECOND).delay(SECOND * 60))
        .await;
    for fault in [Fault::Answerless, Fault::Lost, Fault::Panic] {
        store.plan(Op::Expired, &fault, 3);
    }
    let handle = world.worker_on(&store).kind("a", done()).build().unwrap().start();
    assert_eq!(world.until_final(id).await.task.state, State::Cancelled);
    assert!(world.elapsed() < SECOND * 15, "{:?}", world.elapsed());
    world.shut_down(handle).await;
    quiet().await;
}

//! Leases that end: two workers on one store, of which one cannot renew.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::faulty::{Fault, FaultyStore, Op};
use super::harness::{
    Meter, SECOND, WithKind as _, World, done, each_second, job, quiet, script, until_cancelled,
};
use crate::clock::{Clock as _, ManualClock};
use crate::engine::{KindOptions, OnLeaseLost, WorkerHandle};
use crate::executor::{Executor, Outcome};
use crate::store::StoreErrorKind;
use crate::task::State;

type Told = Arc<Mutex<Option<Duration>>>;

/// Notes when it was cancelled.
fn listener(clock: &ManualClock) -> (Arc<dyn Executor>, Told) {
    let (told, clock) = (Told::default(), clock.clone());
    let note = Arc::clone(&told);
    let executor = script(move |ctx| {
        let (note, clock) = (Arc::clone(&note), clock.clone());
        async move {
            ctx.cancelled().await;
            note.lock()
                .unwrap()
                .get_or_insert(clock.monotonic().since_start());
            Err("cancelled".into())
        }
    });
    (executor, told)
}

fn start(world: &World, store: &FaultyStore, executor: Arc<dyn Executor>) -> WorkerHandle {
    world
        .worker_on(store)
        .kind("a", executor)
        .build()
        .unwrap()
        .start()
}

#[tokio::test]
async fn a_worker_that_cannot_renew_stops_at_its_lease_end_and_another_takes_over() {
    let world = World::new();
    let store = world.store();
    let id = world.enqueue(job("a").rescue_delay(SECOND * 4)).await;
    let (executor, told) = listener(&world.clock);
    let old = start(&world, &store, executor);
    world.until_state(id, State::Running).await;
    let since = world.elapsed();
    store.all(Some(Fault::Lost));
    let new = world.worker().kind("a", done()).build().unwrap().start();
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 2));
    assert_eq!(ended.failures.len(), 1);
    assert!(ended.failures[0].error.as_str().contains("lease"));
    let told = told.lock().unwrap().expect("it was cancelled");
    assert!(
        told <= since + SECOND * 15,
        "at the lease's end at the latest: {told:?}"
    );
    assert!(told >= since + SECOND * 10, "not before: {told:?}");
    // Lease, at most a second of rescuing, half to all of the rescue delay.
    assert!(world.elapsed() >= told + SECOND * 2 && world.elapsed() <= told + SECOND * 7);
    // The old worker is back: its hand-back is stale, and it opens another session.
    store.all(None);
    let before = world.detail(id).await;
    world.pass(SECOND * 30).await;
    assert_eq!(world.detail(id).await, before);
    let sessions = world.client.sessions().await.unwrap();
    assert_eq!(sessions.iter().filter(|session| !session.lost).count(), 2);
    world.shut_down(old).await;
    world.shut_down(new).await;
}

#[tokio::test]
async fn the_first_claim_after_a_rescue_is_a_suspects() {
    let world = World::new();
    let store = world.store();
    let id = world.enqueue(job("a").rescue_delay(SECOND)).await;
    let old = start(&world, &store, until_cancelled());
    world.until_state(id, State::Running).await;
    store.all(Some(Fault::Lost));
    let new = world.worker().kind("other", done()).build().unwrap().start();
    let task = world.until_state(id, State::Pending).await.task;
    assert_eq!((task.crashes, task.is_suspect(), task.attempt), (1, true, 1));
    world.shut_down(new).await;
    drop(old);
    quiet().await;
}

/// A store that answers nothing at all must not hide the end of the lease, whatever call it was.
#[tokio::test]
async fn silence_ends_the_lease_too() {
    for op in [Op::Renew, Op::Time, Op::List] {
        let world = World::new();
        let (store, gate) = (world.store(), CancellationToken::new());
        let id = world.enqueue(job("a")).await;
        let (executor, told) = listener(&world.clock);
        let handle = start(&world, &store, executor);
        world.until_state(id, State::Running).await;
        if op == Op::List {
            // A claim whose answer is lost makes the heartbeat list what it holds.
            store.plan(Op::Exchange, &Fault::Answerless, 1);
            world.enqueue(job("a")).await;
        }
        store.always(op, Some(Fault::HoldCall(gate.clone())));
        if op != Op::Renew {
            // Whatever the heartbeat does besides, its renewals are lost as well.
            world.pass(SECOND * 11).await;
            store.always(Op::Renew, Some(Fault::Lost));
        }
        let silent = world.elapsed();
        world
            .until("it is cancelled", async || told.lock().unwrap().is_some())
            .await;
        let told = told.lock().unwrap().unwrap();
        assert!(
            told <= silent + SECOND * 15,
            "{op:?}: told at {told:?}, silent since {silent:?}"
        );
        store.always(op, None);
        store.always(Op::Renew, None);
        gate.cancel();
        world.pass(SECOND * 30).await;
        assert!(world.elapsed() < SECOND * 200);
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn the_lease_counts_from_when_its_renewal_was_sent() {
    let world = World::new();
    let (store, gate) = (world.store(), CancellationToken::new());
    let id = world.enqueue(job("a")).await;
    let (executor, told) = listener(&world.clock);
    let handle = start(&world, &store, executor);
    world.until_state(id, State::Running).await;
    store.plan(Op::Renew, &Fault::HoldAnswer(gate.clone()), 1);
    store.always(Op::Renew, Some(Fault::Lost));
    world.pass(SECOND * 9).await;
    gate.cancel();
    world
        .until("it is cancelled", async || told.lock().unwrap().is_some())
        .await;
    assert_eq!(
        told.lock().unwrap().unwrap(),
        SECOND * 20,
        "sent at 5 s, answered at 9 s"
    );
    world.shut_down(handle).await;
}

#[tokio::test]
async fn what_waits_for_a_permit_does_not_start_without_a_lease() {
    let world = World::new();
    let (store, runs) = (world.store(), Meter::default());
    let count = runs.clone();
    let executor = script(move |ctx| {
        drop(count.enter());
        async move {
            ctx.cancelled().await;
            Err("cancelled".into())
        }
    });
    for _ in 0..3 {
        world.enqueue(job("a")).await;
    }
    let worker = world.worker_on(&store).concurrency(1).kind("a", executor);
    let handle = worker.build().unwrap().start();
    world.pass(SECOND).await;
    store.all(Some(Fault::Lost));
    world.pass(SECOND * 60).await;
    assert_eq!((runs.total(), handle.running()), (1, 0));
    // Nobody took them meanwhile: they run on when the store is back.
    store.all(None);
    world.pass(SECOND * 10).await;
    assert_eq!((runs.total(), handle.running(), store.calls(Op::Open)), (2, 1, 1));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_hung_renewal_is_given_up_and_repeated() {
    let world = World::new();
    let (store, never) = (world.store(), CancellationToken::new());
    let handle = start(&world, &store, done());
    world.pass(SECOND * 6).await;
    store.plan(Op::Renew, &Fault::HoldCall(never.clone()), 1);
    world.pass(SECOND * 60).await;
    let id = world.enqueue(job("a")).await;
    let ended = world.until_final(id).await;
    assert_eq!(ended.task.state, State::Succeeded);
    assert!(world.elapsed() < SECOND * 70, "{:?}", world.elapsed());
    world.shut_down(handle).await;
}

#[tokio::test]
async fn handlers_that_go_on_without_a_lease_are_recorded_if_nobody_took_the_task() {
    let world = World::new();
    let store = world.store();
    let id = world.enqueue(job("a")).await;
    let gate = CancellationToken::new();
    let held = gate.clone();
    let executor = script(move |ctx| {
        let held = held.clone();
        async move {
            held.cancelled().await;
            assert!(!ctx.is_cancelled());
            Ok(Outcome::Done)
        }
    });
    let options = KindOptions::new().on_lease_lost(OnLeaseLost::Continue);
    let worker = world.worker_on(&store).kind_with("a", executor, options);
    let handle = worker.build().unwrap().start();
    world.until_state(id, State::Running).await;
    store.all(Some(Fault::Lost));
    world.pass(SECOND * 60).await;
    gate.cancel();
    quiet().await;
    store.all(None);
    let ended = world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 1));
    world.shut_down(handle).await;
}

/// The session is lost for good while such a handler runs: the worker does not stand still until it ends.
#[tokio::test]
async fn handlers_that_go_on_do_not_keep_the_worker_from_a_new_session() {
    let world = World::new();
    let store = world.store();
    let long = world
        .enqueue(job("long").retry(each_second(9)).rescue_delay(SECOND * 600))
        .await;
    let options = KindOptions::new().on_lease_lost(OnLeaseLost::Continue);
    let worker = world
        .worker_on(&store)
        .cancel_grace(SECOND)
        .shutdown_grace(SECOND);
    let told = Told::default();
    let (note, clock) = (Arc::clone(&told), world.clock.clone());
    let goes_on = script(move |ctx| {
        let (note, clock) = (Arc::clone(&note), clock.clone());
        async move {
            ctx.cancelled().await;
            note.lock()
                .unwrap()
                .get_or_insert(clock.monotonic().since_start());
            std::future::pending().await
        }
    });
    let worker = worker.kind_with("long", goes_on, options).kind("a", done());
    let handle = worker.build().unwrap().start();
    world.until_state(long, State::Running).await;
    store.all(Some(Fault::Lost));
    let other = world.worker().kind("other", done()).build().unwrap().start();
    world.until_state(long, State::Pending).await;
    store.all(None);
    let id = world.enqueue(job("a")).await;
    let since = world.elapsed();
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    assert!(
        world.elapsed() < since + SECOND * 20,
        "{:?}",
        world.elapsed() - since
    );
    world.pass(SECOND * 60).await;
    assert_eq!(
        *told.lock().unwrap(),
        None,
        "nothing of the new session concerns it"
    );
    world.shut_down(other).await;
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_claim_answered_after_the_lease_is_handed_back_unrun() {
    let world = World::new();
    let (store, gate) = (world.store(), CancellationToken::new());
    let handle = start(&world, &store, done());
    world.pass(SECOND * 2).await;
    store.always(Op::Renew, Some(Fault::Lost));
    world.pass(SECOND * 5).await;
    store.plan(Op::Exchange, &Fault::HoldAnswer(gate.clone()), 1);
    let id = world.enqueue(job("a").retry(each_second(1))).await;
    quiet().await;
    assert_eq!(world.state(id).await, State::Running);
    world.pass(SECOND * 11).await;
    gate.cancel();
    let task = world.until_state(id, State::Pending).await.task;
    assert_eq!((task.attempt, task.crashes), (0, 0));
    store.always(Op::Renew, None);
    assert_eq!(world.until_final(id).await.task.state, State::Succeeded);
    world.shut_down(handle).await;
}

/// The answer to a claim of a lost session must neither run under the next one nor end it.
#[tokio::test]
async fn a_late_answer_of_a_lost_session_does_not_touch_the_next_one() {
    let world = World::new();
    let (store, gate) = (world.store(), CancellationToken::new());
    let runs = Meter::default();
    let count = runs.clone();
    let executor = script(move |_| {
        drop(count.enter());
        async { Ok(Outcome::Done) }
    });
    let handle = start(&world, &store, executor);
    world.pass(SECOND * 2).await;
    store.plan(Op::Exchange, &Fault::HoldAnswer(gate.clone()), 1);
    let id = world.enqueue(job("a").rescue_delay(SECOND * 100)).await;
    quiet().await;
    let other = world.worker().kind("other", done()).build().unwrap().start();
    store.always(Op::Renew, Some(Fault::Lost));
    world.until_state(id, State::Pending).await;
    store.always(Op::Renew, None);
    world
        .until("a new session", async || store.calls(Op::Open) == 2)
        .await;
    gate.cancel();
    quiet().await;
    assert_eq!(runs.total(), 0, "it is not ours any more");
    world.pass(SECOND * 40).await;
    assert_eq!(store.calls(Op::Open), 2);
    assert_eq!(world.until_final(id).await.task.attempt, 2);
    assert_eq!(runs.total(), 1);
    world.shut_down(other).await;
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_row_of_the_session_that_cannot_be_read_is_looked_for_once() {
    let (world, runs) = (World::new(), Meter::default());
    let store = world.store();
    let id = world.enqueue(job("a")).await;
    store.spoil(id);
    // It is claimed, and the worker does not learn it.
    store.plan(Op::Exchange, &Fault::Answerless, 1);
    let count = runs.clone();
    let executor = script(move |_| {
        let inside = count.enter();
        async move {
            drop(inside);
            Ok(Outcome::Done)
        }
    });
    let handle = world
        .worker_on(&store)
        .kind("a", executor)
        .build()
        .unwrap()
        .start();
    world.pass(SECOND * 60).await;
    assert_eq!(world.state(id).await, State::Running);
    let looks = store.calls(Op::List);
    assert!((1..=2).contains(&looks), "{looks}");
    world.pass(SECOND * 300).await;
    assert_eq!(store.calls(Op::List), looks, "nothing changed");
    // Another is lost like it, and found: the one is not counted for the other.
    store.plan(Op::Exchange, &Fault::Answerless, 1);
    let other = world.enqueue(job("a")).await;
    world.until_final(other).await;
    assert_eq!(runs.total(), 1);
    world.shut_down(handle).await;
}

/// A session under another id would be nobody's until its lease ends.
#[tokio::test]
async fn an_opening_without_an_answer_leaves_no_second_session() {
    let world = World::new();
    let store = world.store();
    let gate = CancellationToken::new();
    store.plan(Op::Open, &Fault::Answerless, 1);
    store.plan(Op::Open, &Fault::HoldAnswer(gate.clone()), 1);
    let handle = start(&world, &store, done());
    world.finish("the session", handle.ready()).await;
    assert_eq!(store.calls(Op::Open), 3);
    quiet().await;
    let sessions = world.client.sessions().await.unwrap();
    assert_eq!(sessions.len(), 1);
    // Renewed at once: the store has the lease of the first sending.
    assert!(sessions[0].lease_until >= world.now().saturating_add(SECOND * 14));
    gate.cancel();
    world.shut_down(handle).await;
    assert_eq!(world.client.sessions().await.unwrap(), []);
}

#[tokio::test]
async fn an_opening_of_a_session_that_was_lost_meanwhile_begins_anew() {
    let world = World::new();
    let store = world.store();
    store.plan(Op::Open, &Fault::Answerless, 1);
    store.plan(Op::Open, &Fault::Rejected(StoreErrorKind::Invalid), 1);
    let handle = start(&world, &store, done());
    world.finish("the session", handle.ready()).await;
    assert_eq!(store.calls(Op::Open), 3);
    assert_eq!(world.client.sessions().await.unwrap().len(), 2);
    world.shut_down(handle).await;
}

//! A store that fails: nothing is lost, nothing is done twice.

use tokio_util::sync::CancellationToken;

use super::faulty::{Fault, Op};
use super::harness::{
    Meter, SECOND, WithKind as _, World, done, each_second, job, quiet, script, until_cancelled,
};
use crate::executor::{Executor, Outcome};
use crate::id::TaskId;
use crate::store::{Page, StoreErrorKind, TaskFilter, TaskStore as _};
use crate::task::{Action, State};

fn counted(meter: &Meter) -> std::sync::Arc<dyn Executor> {
    let meter = meter.clone();
    script(move |_| {
        drop(meter.enter());
        async { Ok(Outcome::Done) }
    })
}

#[tokio::test]
async fn an_unknown_settle_is_repeated_with_edits_only() {
    for fault in [Fault::Answerless, Fault::Lost] {
        let world = World::new();
        let (store, runs) = (world.store(), Meter::default());
        let (faults, count) = (store.clone(), runs.clone());
        let executor = script(move |_| {
            drop(count.enter());
            if count.total() == 1 {
                faults.plan(Op::Exchange, &fault, 2);
                faults.take_exchanges();
            }
            async { Ok(Outcome::Done) }
        });
        let handle = world
            .worker_on(&store)
            .kind("a", executor)
            .build()
            .unwrap()
            .start();
        let id = world.enqueue(job("a")).await;
        quiet().await;
        // It is due while the settle is repeated, and claimed only behind it.
        let next = world.enqueue(job("a")).await;
        world.until_final(next).await;
        let exchanges = store.take_exchanges();
        let settles: Vec<_> = exchanges.into_iter().filter(|(edits, _)| *edits > 0).collect();
        assert_eq!(settles[1..3], [(1, 0), (1, 0)]);
        let ended = world.detail(id).await;
        assert_eq!((ended.task.state, ended.task.version), (State::Succeeded, 2));
        world.pass(SECOND * 30).await;
        assert_eq!(runs.total(), 2);
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_claim_without_an_answer_is_found_and_handed_back() {
    let world = World::new();
    let (store, runs) = (world.store(), Meter::default());
    let handle = world
        .worker_on(&store)
        .kind("a", counted(&runs))
        .build()
        .unwrap()
        .start();
    world.pass(SECOND * 2).await;
    store.plan(Op::Exchange, &Fault::Answerless, 1);
    let id = world.enqueue(job("a").retry(each_second(1))).await;
    quiet().await;
    assert_eq!((world.state(id).await, runs.total()), (State::Running, 0));
    let since = world.elapsed();
    let ended = world.until_final(id).await;
    assert_eq!(
        (ended.task.state, ended.task.attempt, ended.task.crashes),
        (State::Succeeded, 1, 0)
    );
    assert!(
        world.elapsed() <= since + SECOND * 12,
        "within two beats and a little"
    );
    assert_eq!(runs.total(), 1);
    world.shut_down(handle).await;
}

/// A call that hangs for ever must not keep the worker: it is given up, and what it claimed is found and run.
#[tokio::test]
async fn a_call_that_hangs_is_given_up() {
    let world = World::new();
    let (store, runs) = (world.store(), Meter::default());
    let handle = world
        .worker_on(&store)
        .kind("a", counted(&runs))
        .build()
        .unwrap()
        .start();
    world.pass(SECOND * 2).await;
    store.plan(Op::Exchange, &Fault::HoldAnswer(CancellationToken::new()), 1);
    let hung = world.enqueue(job("a")).await;
    quiet().await;
    let behind = world.enqueue(job("a")).await;
    let since = world.elapsed();
    for id in [hung, behind] {
        assert_eq!(world.until_final(id).await.task.attempt, 1);
    }
    assert!(world.elapsed() <= since + SECOND * 30, "a lease and two beats");
    assert_eq!(runs.total(), 2);
    world.shut_down(handle).await;
}

/// A difference of the counts is believed when the next count shows it too, with however many beats without one between them.
#[tokio::test]
async fn beats_without_a_count_do_not_hide_a_difference() {
    let world = World::new();
    let store = world.store();
    store.count_rarely();
    let handle = world.worker_on(&store).kind("a", done()).build().unwrap().start();
    world.pass(SECOND).await;
    let session = world.memory.sessions().await.unwrap().remove(0).info.id;
    // As a claim whose answer was lost, without a call that failed.
    let id = TaskId::MIN;
    let mut task = job("a").build(id, world.now(), 0, None).unwrap();
    task.leased_by = Some(session);
    world.memory.insert(&[task], world.now()).await.unwrap();
    assert_eq!(world.state(id).await, State::Running);
    let (since, beats) = (world.elapsed(), store.calls(Op::Renew));
    world.until_final(id).await;
    let beats = store.calls(Op::Renew) - beats;
    assert!(beats <= 7, "{beats} beats in {:?}", world.elapsed() - since);
    world.shut_down(handle).await;
}

/// The reconciliation sees a claim in the store whose answer is still under way: that one is not lost.
#[tokio::test]
async fn a_claim_whose_answer_is_late_is_not_handed_back() {
    let world = World::new();
    let (store, gate, runs) = (world.store(), CancellationToken::new(), Meter::default());
    let handle = world
        .worker_on(&store)
        .kind("a", counted(&runs))
        .build()
        .unwrap()
        .start();
    world.pass(SECOND * 2).await;
    store.plan(Op::Exchange, &Fault::HoldAnswer(gate.clone()), 1);
    let id = world.enqueue(job("a")).await;
    world.pass(SECOND * 14).await;
    assert_eq!(
        (world.state(id).await, world.detail(id).await.task.version),
        (State::Running, 1)
    );
    gate.cancel();
    let ended = world.until_final(id).await;
    world.pass(SECOND * 40).await;
    assert_eq!((ended.task.attempt, ended.task.version, runs.total()), (1, 2, 1));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn an_outage_of_minutes_loses_nothing_and_no_session() {
    for fault in [
        Fault::Lost,
        Fault::Rejected(StoreErrorKind::Unavailable),
        Fault::HoldCall(CancellationToken::new()),
    ] {
        let world = World::new();
        let (first, second) = (world.store(), world.store());
        let mut ids = Vec::new();
        for _ in 0..100 {
            ids.push(world.enqueue(job("a").retry(each_second(1))).await);
        }
        let gate = CancellationToken::new();
        let held = gate.clone();
        let executor = script(move |_| {
            let held = held.clone();
            async move {
                held.cancelled().await;
                Ok(Outcome::Done)
            }
        });
        let handles: Vec<_> = [&first, &second]
            .map(|store| {
                let options =
                    crate::engine::KindOptions::new().on_lease_lost(crate::engine::OnLeaseLost::Continue);
                let worker = world.worker_on(store).concurrency(20).prefetch(10);
                worker
                    .kind_with("a", executor.clone(), options)
                    .build()
                    .unwrap()
                    .start()
            })
            .into();
        world.pass(SECOND * 10).await;
        assert_eq!(handles[0].running() + handles[1].running(), 40);
        for store in [&first, &second] {
            store.all(Some(fault.clone()));
        }
        world.pass(SECOND * 30).await;
        gate.cancel();
        world.pass(SECOND * 300).await;
        for store in [&first, &second] {
            store.all(None);
        }
        if let Fault::HoldCall(gate) = &fault {
            gate.cancel();
        }
        for id in ids {
            let ended = world.until_final(id).await;
            assert_eq!(
                (ended.task.state, ended.task.attempt),
                (State::Succeeded, 1),
                "{fault:?}"
            );
            assert!(ended.failures.is_empty());
        }
        assert_eq!(
            first.calls(Op::Open) + second.calls(Op::Open),
            2,
            "no session was lost: {fault:?}"
        );
        for handle in handles {
            world.shut_down(handle).await;
        }
    }
}

/// Rescuers come back before the owners of the leases have had a beat.
#[tokio::test]
async fn nothing_is_marked_lost_at_once_after_an_outage() {
    for hangs in [false, true] {
        let world = World::new();
        let (owner, rescuer) = (world.store(), world.store());
        let id = world.enqueue(job("a").retry(each_second(1))).await;
        let first = world
            .worker_on(&owner)
            .kind("a", until_cancelled())
            .build()
            .unwrap()
            .start();
        let second = world
            .worker_on(&rescuer)
            .kind("b", done())
            .build()
            .unwrap()
            .start();
        world.pass(SECOND * 10).await;
        let gate = CancellationToken::new();
        let fault = if hangs {
            Fault::HoldCall(gate.clone())
        } else {
            Fault::Lost
        };
        owner.all(Some(Fault::Lost));
        rescuer.all(Some(fault));
        world.pass(SECOND * 120).await;
        rescuer.all(None);
        gate.cancel();
        world.pass(SECOND * 2).await;
        assert_eq!(world.detail(id).await.task.crashes, 0, "hangs: {hangs}");
        owner.all(None);
        world.pass(SECOND * 20).await;
        assert_eq!(owner.calls(Op::Open), 1, "hangs: {hangs}");
        world.shut_down(first).await;
        world.shut_down(second).await;
    }
}

#[tokio::test]
async fn an_edit_that_the_store_refuses_does_not_block_the_others() {
    let world = World::new();
    let store = world.store();
    let mut ids = Vec::new();
    for n in 0..100 {
        ids.push(world.enqueue(job("a").header("n", n.to_string())).await);
    }
    let gate = CancellationToken::new();
    let held = gate.clone();
    let executor = script(move |ctx| {
        let held = held.clone();
        async move {
            held.cancelled().await;
            match ctx.headers().get("n") {
                Some("41") => Ok(Outcome::output("refuse me")?),
                Some("60") => {
                    ctx.enqueue_on_success(job("refused"));
                    Ok(Outcome::Done)
                }
                _ => Ok(Outcome::Done),
            }
        }
    });
    store.refuse(|edit| {
        let output = match &edit.action {
            Action::Set(change) => change.to.cold.as_ref().is_some_and(|cold| {
                matches!(&cold.output, crate::task::Field::Set(text) if text.as_json().contains("refuse"))
            }),
            _ => false,
        };
        output || edit.insert.iter().any(|task| task.kind.as_str() == "refused")
    });
    let worker = world.worker_on(&store).concurrency(100).kind("a", executor);
    let handle = worker.build().unwrap().start();
    world.until("all run", async || handle.running() == 100).await;
    let since = world.elapsed();
    gate.cancel();
    for (n, id) in ids.iter().enumerate() {
        let ended = world.until_final(*id).await;
        let expected = if n == 41 || n == 60 {
            State::Failed
        } else {
            State::Succeeded
        };
        assert_eq!((ended.task.state, ended.task.attempt), (expected, 1), "task {n}");
        if expected == State::Failed {
            assert!(ended.last_error.unwrap().as_str().contains("cannot be stored"));
            assert!(ended.task.purge_at.is_some() && ended.task.alarm_at.is_none());
            assert_eq!(ended.failures[0].attempt, 1);
        }
    }
    assert!(
        world.elapsed() <= since + SECOND * 2,
        "{:?}",
        world.elapsed() - since
    );
    assert!(store.calls(Op::Exchange) < 100, "{}", store.calls(Op::Exchange));
    world.shut_down(handle).await;
}

/// No claim goes with the pieces of a refused batch. Behind them what waits is claimed at once.
#[tokio::test]
async fn a_refused_batch_keeps_nothing_waiting() {
    let world = World::new();
    let (store, gate) = (world.store(), CancellationToken::new());
    let opened = gate.clone();
    let executor = script(move |ctx| {
        if ctx.headers().get("n") == Some("2") {
            ctx.enqueue_on_success(job("refused"));
        }
        let opened = opened.clone();
        async move {
            opened.cancelled().await;
            Ok(Outcome::Done)
        }
    });
    // More than are claimed ahead.
    let drafts = (0..40).map(|n| job("a").header("n", n.to_string()));
    let tasks = world.client.enqueue_many(drafts).await.unwrap();
    store.refuse(|edit| edit.insert.iter().any(|task| task.kind.as_str() == "refused"));
    let worker = world.worker_on(&store).concurrency(4).kind("a", executor);
    let handle = worker.build().unwrap().start();
    world.until("four run", async || handle.running() == 4).await;
    let since = world.elapsed();
    gate.cancel();
    for task in &tasks {
        world.until_final(task.id).await;
    }
    assert_eq!(world.elapsed(), since);
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_driver_that_panics_loses_no_outcome() {
    for op in [Op::Exchange, Op::Renew, Op::Expired, Op::Purge, Op::Time] {
        let world = World::new();
        let (store, runs) = (world.store(), Meter::default());
        let (faults, count) = (store.clone(), runs.clone());
        let executor = script(move |_| {
            drop(count.enter());
            faults.plan(op, &Fault::Panic, 2);
            async { Ok(Outcome::Done) }
        });
        let handle = world
            .worker_on(&store)
            .kind("a", executor)
            .build()
            .unwrap()
            .start();
        let id = world.enqueue(job("a")).await;
        let ended = world.until_final(id).await;
        assert_eq!(
            (ended.task.state, ended.task.attempt),
            (State::Succeeded, 1),
            "{op:?}"
        );
        world.pass(SECOND * 30).await;
        assert_eq!(runs.total(), 1);
        world.shut_down(handle).await;
    }
}

#[tokio::test]
async fn a_flickering_store_loses_and_repeats_nothing() {
    let world = World::new();
    let (store, runs) = (world.store(), Meter::default());
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(world.enqueue(job("a").retry(each_second(1))).await);
    }
    for _ in 0..20 {
        for op in [Op::Exchange, Op::Renew, Op::Open, Op::Time, Op::Expired] {
            store.plan(op, &Fault::Lost, 1);
            store.plan(op, &Fault::Rejected(StoreErrorKind::Busy), 1);
            if op != Op::Exchange {
                store.plan(op, &Fault::Answerless, 1);
            }
        }
    }
    let worker = world.worker_on(&store).concurrency(7).prefetch(3);
    let handle = worker.kind("a", counted(&runs)).build().unwrap().start();
    for id in ids {
        let ended = world.until_final(id).await;
        assert_eq!((ended.task.state, ended.task.version), (State::Succeeded, 2));
    }
    assert_eq!(runs.total(), 200);
    let running = TaskFilter {
        states: vec![State::Running],
        ..TaskFilter::default()
    };
    assert_eq!(
        world.client.list(&running, &Page::first(1)).await.unwrap().tasks,
        []
    );
    world.shut_down(handle).await;
}

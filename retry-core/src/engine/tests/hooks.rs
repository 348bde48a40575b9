//! Tasks born running here inside a transaction: what the hook runs after the commit, and what becomes of them without it.

use super::attached::{Db, Tx, counted, enlist, here, here_with};
use super::faulty::{Fault, Op};
use super::harness::{Meter, SECOND, WithKind as _, World, done, job, quiet};
use crate::client::Error;
use crate::clock::Clock as _;
use crate::store::{Inserted, QueueSetting, TaskFilter, TaskStore as _};
use crate::task::State;

#[tokio::test]
async fn the_hook_writes_once_less_than_a_claim() {
    let mut writes = Vec::new();
    for hook in [true, false] {
        let world = World::new();
        let store = world.store();
        let worker = world.worker_on(&store).kind("a", done());
        let handle = worker.build().unwrap().start();
        handle.ready().await;
        quiet().await;
        let (client, tx) = (world.client.attach(&handle), Tx::default());
        let before = store.calls(Op::Exchange);
        store.take_exchanges();
        if hook {
            let (_, run) = client.enqueue(job("a")).in_tx_leased(&tx).unwrap();
            tx.commit(&world).await;
            run.committed();
        } else {
            client.enqueue(job("a")).in_tx(&tx).unwrap();
            tx.commit(&world).await;
        }
        quiet().await;
        let task = &world.list(TaskFilter::default()).await[0];
        assert_eq!((task.state, task.version), (State::Succeeded, 2));
        // Exchanges that wrote: one for the claim, one for the outcome.
        let exchanges = store.calls(Op::Exchange) - before;
        let settles = store
            .take_exchanges()
            .iter()
            .filter(|(edits, _)| *edits > 0)
            .count();
        assert_eq!(settles, 1);
        writes.push(exchanges);
        world.shut_down(handle).await;
    }
    assert!(writes[0] < writes[1], "{writes:?}");
}

#[tokio::test]
async fn the_hook_runs_it_right_after_the_commit() {
    let (here, tx) = (here(done()).await, Tx::default());
    let (id, run) = enlist(&here, &tx);
    assert_eq!(here.handle.running(), 0, "a place that is kept is no run");
    tx.commit(&here.world).await;
    quiet().await;
    assert_eq!(here.runs.total(), 0, "not before the caller says so");
    run.committed();
    quiet().await;
    let ended = here.world.detail(id).await.task;
    assert_eq!((ended.state, ended.version), (State::Succeeded, 2));
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn a_rolled_back_task_never_runs_and_its_permit_is_free() {
    let here = here(done()).await;
    // Said rightly, and said wrongly: a savepoint took the row along.
    for lie in [false, true] {
        let tx = Tx::default();
        let (id, run) = enlist(&here, &tx);
        drop(tx);
        if lie {
            run.committed();
        } else {
            drop(run);
        }
        quiet().await;
        assert!(here.world.memory.get(id).await.unwrap().is_none());
        assert_eq!(here.runs.total(), 0);
    }
    let id = here.world.enqueue(job("a")).await;
    here.world.until_final(id).await;
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn a_transaction_may_take_as_long_as_many_beats() {
    let (here, tx) = (here(done()).await, Tx::default());
    let (id, run) = enlist(&here, &tx);
    here.world.pass(SECOND * 60).await;
    tx.commit(&here.world).await;
    // Beats between the commit and the word of it.
    here.world.pass(SECOND * 20).await;
    assert_eq!(here.world.state(id).await, State::Running, "not handed back");
    run.committed();
    quiet().await;
    let ended = here.world.detail(id).await.task;
    assert_eq!((ended.state, ended.version), (State::Succeeded, 2));
    assert_eq!(here.runs.total(), 1);
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn one_that_is_committed_as_pending_is_claimed_like_any_other() {
    let (here, tx) = (here_with(done(), 2).await, Tx::default());
    let (id, run) = enlist(&here, &tx);
    let queue = crate::name::Queue::default();
    let set = async |setting| here.world.memory.set_queue(&queue, setting).await.unwrap();
    set(QueueSetting::Pause).await;
    tx.commit(&here.world).await;
    assert_eq!(here.world.state(id).await, State::Pending);
    set(QueueSetting::Resume).await;
    // This worker claims it before the hook hears of the commit.
    here.world.until_final(id).await;
    assert_eq!(here.runs.total(), 1);
    run.committed();
    quiet().await;
    assert_eq!(here.runs.total(), 1, "and does not run it a second time");
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn one_whose_hook_was_dropped_is_handed_back_by_the_heartbeat() {
    let (here, tx) = (here(done()).await, Tx::default());
    let (id, run) = enlist(&here, &tx);
    drop(run);
    tx.commit(&here.world).await;
    let committed = here.world.elapsed();
    let ended = here.world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 1));
    assert!(ended.failures.is_empty(), "it is no crash");
    assert!(here.world.elapsed() <= committed + SECOND * 11, "two beats");
    assert_eq!(here.runs.total(), 1);
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn a_crash_between_commit_and_run_heals_by_the_leases_end() {
    let (here, tx) = (here(done()).await, Tx::default());
    let (id, run) = enlist(&here, &tx);
    tx.commit(&here.world).await;
    // The process ends: no hand-back, no close.
    drop(here.handle);
    drop(run);
    let other = here.world.worker().kind("a", done()).build().unwrap().start();
    let ended = here.world.until_final(id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 2));
    assert!(ended.failures[0].error.as_str().contains("lease"));
    assert_eq!(here.runs.total(), 0);
    here.world.shut_down(other).await;
}

#[tokio::test]
async fn a_session_that_is_lost_before_the_commit_takes_the_run_along() {
    let (here, tx) = (here(done()).await, Tx::default());
    let (id, run) = enlist(&here, &tx);
    let session = here.world.memory.sessions().await.unwrap()[0].info.id;
    here.world.memory.close_session(session).await.unwrap();
    here.world.pass(SECOND * 10).await;
    tx.commit(&here.world).await;
    run.committed();
    let ended = here.world.until_final(id).await;
    assert_eq!(ended.task.state, State::Succeeded);
    assert_eq!(here.runs.total(), 1);
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn a_look_that_fails_runs_nothing_and_loses_nothing() {
    let world = World::new();
    let (store, runs) = (world.store(), Meter::default());
    let handle = world
        .worker_on(&store)
        .kind("a", counted(&runs, done()))
        .build()
        .unwrap()
        .start();
    handle.ready().await;
    let (client, tx) = (world.client.attach(&handle), Tx::default());
    let (enqueued, run) = client.enqueue(job("a")).in_tx_leased(&tx).unwrap();
    tx.commit(&world).await;
    store.plan(Op::Get, &Fault::Lost, 1);
    run.committed();
    quiet().await;
    assert_eq!(runs.total(), 0);
    let ended = world.until_final(enqueued.id).await;
    assert_eq!((ended.task.state, ended.task.attempt), (State::Succeeded, 1));
    world.shut_down(handle).await;
}

#[tokio::test]
async fn a_shutdown_gives_transactions_its_grace_and_no_more() {
    for commits in [true, false] {
        let (here, tx) = (here(done()).await, Tx::default());
        let (id, run) = enlist(&here, &tx);
        let began = here.world.clock.monotonic();
        let world = &here.world;
        let committing = async {
            if commits {
                world.clock.sleep_until(began + SECOND).await;
                tx.commit(world).await;
                run.committed();
            } else {
                std::future::pending::<()>().await;
            }
        };
        let stopped = async {
            tokio::select! {
                biased;
                () = here.handle.shutdown() => {}
                () = async { committing.await; std::future::pending().await } => {}
            }
        };
        world.finish("the shutdown", stopped).await;
        let took = world.clock.monotonic().saturating_since(began);
        assert_eq!(here.runs.total(), 0);
        if commits {
            assert!(took < SECOND * 2, "{took:?}");
            let task = world.detail(id).await.task;
            assert_eq!((task.state, task.attempt), (State::Pending, 0), "handed back");
        } else {
            assert!(took >= SECOND * 10 && took < SECOND * 11, "{took:?}");
        }
        assert!(
            world
                .list(TaskFilter::default())
                .await
                .iter()
                .all(|task| task.state == State::Pending)
        );
    }
}

#[tokio::test]
async fn a_transaction_of_the_client_runs_what_it_commits_and_nothing_else() {
    let here = here_with(done(), 4).await;
    let (client, db) = (here.client.clone(), Db(here.world.memory.clone()));
    // On another thread if need be: the whole call is `Send`.
    let committed = tokio::spawn(async move {
        let committed = client
            .transaction(&db, async |tx| {
                tx.enqueue(job("a")).await?;
                tx.enqueue(job("a").delay(SECOND * 60)).await
            })
            .await;
        let failed: Result<(), Error> = client
            .transaction(&db, async |tx| {
                tx.enqueue(job("a")).await?;
                Err(Error::AlreadyDone)
            })
            .await;
        assert!(matches!(failed, Err(Error::AlreadyDone)));
        // A savepoint took the row along, and nobody saw it.
        let taken = client.transaction(&db, async |tx| {
            let enqueued = tx.enqueue(job("a")).await?;
            tx.0.lock().unwrap().clear();
            Ok::<_, Error>(enqueued.id)
        });
        taken.await.unwrap();
        committed.unwrap()
    });
    let later = committed.await.unwrap();
    assert_eq!(later.inserted, Inserted::New { leased: false });
    quiet().await;
    assert_eq!((here.runs.total(), here.handle.running()), (1, 0));
    assert_eq!(here.world.list(TaskFilter::default()).await.len(), 2);
    let db = Db(here.world.memory.clone());
    let tx = here.client.begin(&db).await.unwrap();
    tx.commit().await.unwrap();
    here.world.shut_down(here.handle).await;
}

//! Tasks born running here: by an attached client, outside and inside transactions.

use std::sync::{Arc, Mutex};

use super::faulty::{Fault, Op};
use super::harness::{Meter, SECOND, WithKind as _, World, done, job, quiet, script, stuck};
use crate::client::{Client, Error, RunAfterCommit};
use crate::clock::Clock as _;
use crate::draft::Draft;
use crate::engine::WorkerHandle;
use crate::executor::{Executor, Outcome};
use crate::id::TaskId;
use crate::payload::Payload;
use crate::store::{
    Begin, Enlist, Inserted, MemoryStore, QueueSetting, Result, StoreErrorKind, TaskFilter, TaskStore as _,
    Transact,
};
use crate::task::{NewTask, State};
use crate::time::Timestamp;

/// A transaction on a store in memory, of which nobody sees anything before its commit.
#[derive(Default)]
struct Tx(Mutex<Vec<(NewTask, Timestamp)>>);

impl Enlist<&Tx> for MemoryStore {
    type Reply<T: Send + 'static> = T;

    fn enlist<T, F>(&self, tx: &Tx, tasks: Result<Vec<NewTask>>, now: Timestamp, finish: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static,
    {
        finish(tasks.map(|tasks| {
            let answer = |task: &NewTask| Inserted::New {
                leased: task.leased_by.is_some(),
            };
            let answers = tasks.iter().map(answer).collect();
            tx.0.lock()
                .unwrap()
                .extend(tasks.into_iter().map(|task| (task, now)));
            answers
        }))
    }
}

impl Tx {
    async fn commit(self, world: &World) {
        for (task, now) in self.0.into_inner().unwrap() {
            let inserted = world.memory.insert(&[task], now).await.unwrap();
            assert!(matches!(inserted[..], [Inserted::New { .. }]));
        }
    }
}

/// What a transaction is begun on.
struct Db(MemoryStore);

/// A begun transaction: its statements are the tasks.
struct Begun(Tx, MemoryStore);

impl std::ops::Deref for Begun {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.0
    }
}

impl std::ops::DerefMut for Begun {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.0
    }
}

impl Begin<&Db> for MemoryStore {
    type Tx = Begun;

    async fn begin(&self, db: &Db) -> Result<Begun> {
        Ok(Begun(Tx::default(), db.0.clone()))
    }
}

impl Transact<Begun> for MemoryStore {
    async fn insert_in(
        &self,
        tx: &mut Begun,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
    ) -> Result<Vec<Inserted>> {
        self.enlist(&tx.0, tasks, now, |answer| answer)
    }

    async fn commit(&self, tx: Begun) -> Result<()> {
        let Begun(Tx(tasks), store) = tx;
        for (task, now) in tasks.into_inner().unwrap() {
            store.insert(&[task], now).await?;
        }
        Ok(())
    }
}

struct Here {
    world: World,
    client: Client<MemoryStore>,
    handle: WorkerHandle,
    runs: Meter,
}

/// A world with a worker of kind `a` for one task at a time, and a client attached to it.
async fn here(executor: Arc<dyn Executor>) -> Here {
    here_with(executor, 1).await
}

async fn here_with(executor: Arc<dyn Executor>, concurrency: usize) -> Here {
    let world = World::new();
    let runs = Meter::default();
    let handle = world
        .worker()
        .concurrency(concurrency)
        .kind("a", counted(&runs, executor))
        .build()
        .unwrap()
        .start();
    handle.ready().await;
    quiet().await;
    let client = world.client.attach(&handle);
    Here {
        world,
        client,
        handle,
        runs,
    }
}

fn counted(runs: &Meter, executor: Arc<dyn Executor>) -> Arc<dyn Executor> {
    let runs = runs.clone();
    script(move |ctx| {
        let (runs, executor) = (runs.clone(), Arc::clone(&executor));
        async move {
            let _inside = runs.enter();
            executor.execute(Payload::null(), ctx).await
        }
    })
}

fn enlist(here: &Here, tx: &Tx) -> (TaskId, RunAfterCommit) {
    let (enqueued, run) = here.client.enqueue(job("a")).in_tx_leased(tx).unwrap();
    assert!(run.is_leased());
    assert_eq!(enqueued.inserted, Inserted::New { leased: true });
    (enqueued.id, run)
}

#[tokio::test]
async fn it_runs_at_once_and_without_a_claim() {
    let here = here(done()).await;
    let enqueued = here.client.enqueue(job("a")).run_here().await.unwrap();
    assert_eq!(enqueued.inserted, Inserted::New { leased: true });
    let born = here.world.detail(enqueued.id).await.task;
    assert_eq!((born.state, born.version, born.attempt), (State::Running, 1, 1));
    quiet().await;
    let ended = here.world.detail(enqueued.id).await.task;
    assert_eq!(
        (ended.state, ended.version),
        (State::Succeeded, 2),
        "birth and success"
    );
    here.world.shut_down(here.handle).await;
}

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
async fn what_cannot_start_here_is_pending() {
    let here = here(stuck()).await;
    let pending = Inserted::New { leased: false };
    let answer = async |client: &Client<MemoryStore>, draft: Draft| {
        let enqueued = client.enqueue(draft).run_here().await.unwrap();
        assert_eq!(here.world.state(enqueued.id).await, State::Pending);
        enqueued.inserted
    };
    let client = &here.client;
    assert_eq!(
        answer(&here.world.client, job("a")).await,
        pending,
        "not attached"
    );
    here.world.memory.purge(Timestamp::MAX, 1_000).await.unwrap();
    assert_eq!(answer(client, job("a").delay(SECOND)).await, pending, "not due");
    assert_eq!(
        answer(client, job("b")).await,
        pending,
        "a kind without a handler"
    );
    assert_eq!(
        answer(client, job("a").queue("other")).await,
        pending,
        "not its queue"
    );
    let default = crate::name::Queue::default();
    here.world
        .memory
        .set_queue(&default, QueueSetting::Pause)
        .await
        .unwrap();
    assert_eq!(answer(client, job("a")).await, pending, "a paused queue");
    here.world.shut_down(here.handle).await;
    assert_eq!(answer(client, job("a")).await, pending, "a stopped worker");
}

#[tokio::test]
async fn without_a_permit_it_is_pending_and_no_limit_is_exceeded() {
    let here = here(stuck()).await;
    let first = here.client.enqueue(job("a")).run_here().await.unwrap();
    let second = here.client.enqueue(job("a")).run_here().await.unwrap();
    assert_eq!(first.inserted, Inserted::New { leased: true });
    assert_eq!(second.inserted, Inserted::New { leased: false });
    quiet().await;
    assert_eq!((here.runs.most(), here.handle.running()), (1, 1));
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn a_failed_insert_or_a_duplicate_gives_the_permit_back() {
    let here = here(done()).await;
    let held = job("a").unique("k").delay(SECOND * 1_000);
    here.world.enqueue(held).await;
    let duplicate = here
        .client
        .enqueue(job("a").unique("k"))
        .run_here()
        .await
        .unwrap();
    assert!(matches!(duplicate.inserted, Inserted::Duplicate { .. }));
    let store = here.world.store();
    store.always(Op::Insert, Some(Fault::Rejected(StoreErrorKind::Full)));
    let faulty = Client::builder(store)
        .clock(Arc::new(here.world.clock.clone()))
        .build()
        .attach(&here.handle);
    faulty.enqueue(job("a")).run_here().await.unwrap_err();
    faulty
        .enqueue(Draft::raw("not a kind", Payload::null()))
        .run_here()
        .await
        .unwrap_err();
    let id = here.world.enqueue(job("a")).await;
    here.world.until_final(id).await;
    assert_eq!(here.runs.total(), 1);
    here.world.shut_down(here.handle).await;
}

#[tokio::test]
async fn an_insert_of_unknown_outcome_is_looked_at_before_it_runs() {
    for fault in [Fault::Answerless, Fault::Lost] {
        let here = here(done()).await;
        let store = here.world.store();
        store.plan(Op::Insert, &fault, 1);
        let faulty = Client::builder(store)
            .clock(Arc::new(here.world.clock.clone()))
            .build()
            .attach(&here.handle);
        let enqueue = faulty.enqueue(job("a")).run_here();
        let enqueued = here.world.finish("the enqueue", enqueue).await.unwrap();
        quiet().await;
        let ended = here.world.detail(enqueued.id).await.task;
        assert_eq!((ended.state, ended.version), (State::Succeeded, 2), "{fault:?}");
        here.world.shut_down(here.handle).await;
    }
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
async fn an_attached_client_keeps_no_worker_alive() {
    let here = here_with(script(|_| async { Ok(Outcome::Done) }), 4).await;
    let client = here.client.clone().erase();
    assert!(client.is_attached() && !here.world.client.is_attached());
    drop(here.handle);
    quiet().await;
    let enqueued = client.enqueue(job("a")).run_here().await.unwrap();
    assert_eq!(enqueued.inserted, Inserted::New { leased: false });
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
        let failed: std::result::Result<(), Error> = client
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

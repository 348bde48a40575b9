//! A client attached to a worker, and transactions on a store in memory.

use std::sync::{Arc, Mutex};

use super::harness::{Meter, WithKind as _, World, job, quiet, script};
use crate::client::{Client, RunAfterCommit};
use crate::engine::WorkerHandle;
use crate::executor::Executor;
use crate::id::TaskId;
use crate::payload::Payload;
use crate::store::{Begin, Enlist, Inserted, MemoryStore, Result, TaskStore as _, Transact};
use crate::task::NewTask;
use crate::time::Timestamp;

/// A transaction on a store in memory, of which nobody sees anything before its commit.
#[derive(Default)]
pub(super) struct Tx(pub(super) Mutex<Vec<(NewTask, Timestamp)>>);

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
    pub(super) async fn commit(self, world: &World) {
        for (task, now) in self.0.into_inner().unwrap() {
            let inserted = world.memory.insert(&[task], now).await.unwrap();
            assert!(matches!(inserted[..], [Inserted::New { .. }]));
        }
    }
}

/// What a transaction is begun on.
pub(super) struct Db(pub(super) MemoryStore);

/// A begun transaction: its statements are the tasks.
pub(super) struct Begun(Tx, MemoryStore);

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

pub(super) struct Here {
    pub(super) world: World,
    pub(super) client: Client<MemoryStore>,
    pub(super) handle: WorkerHandle,
    pub(super) runs: Meter,
}

/// A world with a worker of kind `a` for one task at a time, and a client attached to it.
pub(super) async fn here(executor: Arc<dyn Executor>) -> Here {
    here_with(executor, 1).await
}

pub(super) async fn here_with(executor: Arc<dyn Executor>, concurrency: usize) -> Here {
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

pub(super) fn counted(runs: &Meter, executor: Arc<dyn Executor>) -> Arc<dyn Executor> {
    let runs = runs.clone();
    script(move |ctx| {
        let (runs, executor) = (runs.clone(), Arc::clone(&executor));
        async move {
            let _inside = runs.enter();
            executor.execute(Payload::null(), ctx).await
        }
    })
}

pub(super) fn enlist(here: &Here, tx: &Tx) -> (TaskId, RunAfterCommit) {
    let (enqueued, run) = here.client.enqueue(job("a")).in_tx_leased(tx).unwrap();
    assert!(run.is_leased());
    assert_eq!(enqueued.inserted, Inserted::New { leased: true });
    (enqueued.id, run)
}

//! Begin, work, commit and what follows it, in one call.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Client, Enqueued, Error, Result, RunAfterCommit};
use crate::draft::Draft;
use crate::store::{Begin, StoreError, Transact, TransactBlocking};

/// An open transaction of the user's own database, in which tasks are enqueued. It derefs to the driver's connection.
///
/// Dropped, it rolls back, and what was enqueued in it never was.
#[must_use = "a transaction that is dropped rolls back"]
pub struct Transaction<'c, S, Tx> {
    client: &'c Client<S>,
    tx: Tx,
    runs: Vec<RunAfterCommit>,
}

impl<S, Tx> fmt::Debug for Transaction<'_, S, Tx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("runs", &self.runs.len())
            .finish_non_exhaustive()
    }
}

impl<S, Tx: Deref> Deref for Transaction<'_, S, Tx> {
    type Target = Tx::Target;

    fn deref(&self) -> &Self::Target {
        &self.tx
    }
}

impl<S, Tx: DerefMut> DerefMut for Transaction<'_, S, Tx> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.tx
    }
}

impl<S: Transact<Tx>, Tx: Send> Transaction<'_, S, Tx> {
    /// Enqueues a task inside the transaction: a typed payload, or a [`Draft`] with options. It exists when the transaction
    /// commits. If the client is [attached](Client::attach) to a worker that can run it, it starts on this node right
    /// after the commit, without a claim.
    ///
    /// # Errors
    /// The task is invalid, before anything is written; or the store failed: as the driver has it, the transaction may
    /// have to be rolled back.
    pub async fn enqueue(&mut self, task: impl Into<Draft>) -> Result<Enqueued> {
        let client = self.client;
        let (tasks, now, finish) = client.enqueue(task).enlisting(true).split();
        let answer = client.store.insert_in(&mut self.tx, tasks, now).await;
        let (enqueued, run) = finish.answer(answer)?;
        self.after_commit(run);
        Ok(enqueued)
    }

    /// Lets a task that was enqueued by [`in_tx_leased`](super::Enqueue::in_tx_leased), in a savepoint say, start with the
    /// others after the commit. If it went with a savepoint that was rolled back, it does not run.
    pub fn after_commit(&mut self, run: RunAfterCommit) {
        if run.is_leased() {
            self.runs.push(run);
        }
    }

    /// Commits, and starts what was enqueued to run here.
    ///
    /// # Errors
    /// The commit failed. If its outcome is unknown, nothing is started here; should the tasks exist after all, the worker
    /// hands them back within two heartbeats.
    pub async fn commit(self) -> Result<()> {
        self.client.store.commit(self.tx).await?;
        self.runs.into_iter().for_each(RunAfterCommit::committed);
        Ok(())
    }
}

impl<S> Client<S> {
    /// Begins a transaction on a pool of the store's own driver, for those who would rather commit
    /// themselves than hand a closure to [`transaction`](Self::transaction).
    ///
    /// # Errors
    /// The driver could not begin.
    pub async fn begin<Db>(&self, db: Db) -> Result<Transaction<'_, S, S::Tx>>
    where
        S: Begin<Db>,
    {
        // Its tasks are due by this reading; a store that does not tell the time will fail by itself.
        let _ = self.shared.any_now().await;
        Ok(Transaction {
            client: self,
            tx: self.store.begin(db).await?,
            runs: Vec::new(),
        })
    }

    /// Runs `work` in a transaction and commits it: a business write and the tasks that follow from it are one. With an
    /// error nothing of it remains. What was enqueued starts right after the commit, if the client is
    /// [attached](Self::attach) to a worker that can run it.
    ///
    /// `db` is a pool of the application's own, of the store's driver and database:
    /// `client.transaction(&pool, async |tx| { … })`. Statements run on `&mut **tx`.
    ///
    /// # Errors
    /// What `work` answers, or the driver's failure to begin or to commit.
    pub async fn transaction<Db, Tx, T, E, F>(&self, db: Db, work: F) -> Result<T, E>
    where
        S: Begin<Db, Tx = Tx> + Transact<Tx>,
        Tx: Send,
        E: From<Error>,
        F: AsyncFnOnce(&mut Transaction<'_, S, Tx>) -> Result<T, E>,
    {
        let mut tx = self.begin(db).await?;
        let value = work(&mut tx).await?;
        tx.commit().await?;
        Ok(value)
    }

    /// As [`transaction`](Self::transaction), for a store with a blocking driver (SQLite): `work` runs on the store's own
    /// connection and thread, and shares its commit with what others write. Its rules are the store's: be quick, and enqueue
    /// through `tx` only.
    ///
    /// # Errors
    /// What `work` answers, or the store's failure; then nothing of it remains.
    pub async fn transaction_blocking<T, E, F>(&self, work: F) -> Result<T, E>
    where
        S: TransactBlocking,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&BlockingTransaction<'_, '_, S>) -> Result<T, E> + Send + 'static,
    {
        // As in `begin`.
        let _ = self.shared.any_now().await;
        let client = self.clone();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let runs = Arc::clone(&kept);
        let value = self.store.transact(move |tx| {
            let begun = BlockingTransaction {
                client: &client,
                tx,
                runs: RefCell::default(),
            };
            let value = work(&begun);
            *runs.lock().unwrap_or_else(PoisonError::into_inner) = begun.runs.into_inner();
            value
        });
        let value = value.await?;
        let runs = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
        runs.into_iter().for_each(RunAfterCommit::committed);
        Ok(value)
    }
}

/// An open transaction of a store with a blocking driver. It derefs to the driver's transaction.
pub struct BlockingTransaction<'t, 'x, S: TransactBlocking> {
    client: &'t Client<S>,
    tx: &'t S::Tx<'x>,
    runs: RefCell<Vec<RunAfterCommit>>,
}

impl<S: TransactBlocking> fmt::Debug for BlockingTransaction<'_, '_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingTransaction")
            .field("runs", &self.runs.borrow().len())
            .finish_non_exhaustive()
    }
}

impl<'x, S: TransactBlocking> Deref for BlockingTransaction<'_, 'x, S> {
    type Target = S::Tx<'x>;

    fn deref(&self) -> &Self::Target {
        self.tx
    }
}

impl<S: TransactBlocking> BlockingTransaction<'_, '_, S> {
    /// Enqueues a task inside the transaction, as [`Transaction::enqueue`] does.
    ///
    /// # Errors
    /// The task is invalid, before anything is written; or the store failed.
    pub fn enqueue(&self, task: impl Into<Draft>) -> Result<Enqueued> {
        let client = self.client;
        let (tasks, now, finish) = client.enqueue(task).enlisting(true).split();
        let answer = client.store.insert_blocking(self.tx, tasks, now);
        let (enqueued, run) = finish.answer(answer)?;
        self.after_commit(run);
        Ok(enqueued)
    }

    /// As [`Transaction::after_commit`].
    pub fn after_commit(&self, run: RunAfterCommit) {
        if run.is_leased() {
            self.runs.borrow_mut().push(run);
        }
    }
}

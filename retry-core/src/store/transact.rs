//! Whole transactions of a store's own driver, for clients that wrap begin, commit and what follows it.

use std::ops::DerefMut;

use super::{Inserted, Result, StoreError, TaskStore};
use crate::task::NewTask;
use crate::time::Timestamp;

/// A store whose asynchronous driver can begin a transaction on `Db`, a borrowed pool of the user's own.
#[diagnostic::on_unimplemented(
    message = "the store `{Self}` cannot begin a transaction on `{Db}`",
    note = "stores on sqlx take a pool of their own driver: `client.transaction(&pool, async |tx| …)`",
    note = "with SQLite use `client.transaction_blocking(|tx| …)`; Redis and sled have no transactions to join"
)]
pub trait Begin<Db>: TaskStore {
    /// The open transaction. Dropped, it rolls back.
    // Without a lifetime of `Db` in it: only then is a future `Send` that awaits a closure over it.
    type Tx: DerefMut + Send + 'static;

    /// Begins.
    fn begin(&self, db: Db) -> impl Future<Output = Result<Self::Tx>> + Send;
}

/// A store that inserts through a transaction of its driver and ends it.
pub trait Transact<Tx>: TaskStore {
    /// Inserts tasks through the transaction, as [`Enlist`](super::Enlist) does.
    fn insert_in(
        &self,
        tx: &mut Tx,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Inserted>>> + Send;

    /// Commits. When the answer is lost, so is the knowledge whether it did: [`Certainty::Unknown`](super::Certainty).
    fn commit(&self, tx: Tx) -> impl Future<Output = Result<()>> + Send;
}

/// A store with a blocking driver that runs a closure as a transaction on a connection of its own.
#[diagnostic::on_unimplemented(
    message = "the store `{Self}` does not run blocking transactions",
    note = "SQLite does; stores on sqlx take a pool: `client.transaction(&pool, async |tx| …)`"
)]
pub trait TransactBlocking: TaskStore {
    /// The open transaction.
    type Tx<'t>;

    /// Runs `work` and commits what it did; an `Err` rolls it back. When the future is dropped, the work is done completely
    /// or not at all.
    fn transact<T, E, F>(&self, work: F) -> impl Future<Output = std::result::Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Self::Tx<'_>) -> std::result::Result<T, E> + Send + 'static;

    /// Inserts tasks through the transaction, as [`Enlist`](super::Enlist) does.
    fn insert_blocking(
        &self,
        tx: &Self::Tx<'_>,
        tasks: Result<Vec<NewTask>>,
        now: Timestamp,
    ) -> Result<Vec<Inserted>>;
}

//! Inserting inside a transaction of the user's own.

use super::{Inserted, Result, TaskStore};
use crate::task::NewTask;
use crate::time::Timestamp;

/// A store whose inserts can join a transaction `Tx` that the user opened and will commit.
///
/// `Tx` is a borrow, such as `&rusqlite::Transaction` or `&mut sqlx::Transaction`. A store with a blocking driver answers
/// at once ([`Reply`](Self::Reply) is the plain value), one with an asynchronous driver answers a future.
///
/// What was inserted is visible to workers when the transaction commits, and never when it rolls back, also to a
/// savepoint taken before. A task with `leased_by` is born running as in [`insert`](TaskStore::insert), decided when it is
/// inserted; the session is not locked until the commit, so a task may turn up under a session that is lost by then, and is
/// reported like any other of a lost session (law 9). The bounds of [`check::insert`](super::check::insert) hold.
#[diagnostic::on_unimplemented(
    message = "the store `{Self}` cannot insert inside a transaction `{Tx}`",
    label = "this store does not join that transaction",
    note = "SQL stores join transactions of their own driver: `.in_tx(&tx)` with rusqlite, `.in_tx(&mut tx)` with sqlx",
    note = "a client made by `connect(url)` or `.erase()` has forgotten its store: build the client from the store itself",
    note = "Redis and sled have no transaction to join: write the task into an outbox of your database, `.outbox(&outbox, &tx)`"
)]
pub trait Enlist<Tx>: TaskStore {
    /// How the answer comes: `T` itself, or a future of it.
    type Reply<T: Send + 'static>;

    /// Inserts `tasks` through `tx` and hands the answers to `finish`. With `Err` nothing is inserted and `finish`
    /// turns the error into the reply.
    fn enlist<T, F>(&self, tx: Tx, tasks: Result<Vec<NewTask>>, now: Timestamp, finish: F) -> Self::Reply<T>
    where
        T: Send + 'static,
        F: FnOnce(Result<Vec<Inserted>>) -> T + Send + 'static;
}

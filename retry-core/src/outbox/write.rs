//! Writing rows inside a transaction of the user's own.

use super::table::{NewRow, OutboxTable};
use crate::store::Result;

/// An outbox whose rows can be written in a transaction `Tx` that the user opened and will commit.
///
/// `Tx` is a borrow, such as `&rusqlite::Transaction` or `&mut sqlx::Transaction`. A table behind a blocking driver answers at
/// once ([`Reply`](Self::Reply) is the plain value), one behind an asynchronous driver answers a future, as
/// [`Enlist`](crate::store::Enlist) does.
#[diagnostic::on_unimplemented(
    message = "the outbox `{Self}` cannot be written in a transaction `{Tx}`",
    label = "this outbox does not join that transaction",
    note = "an outbox joins transactions of its own driver: `.outbox(&outbox, &tx)` with rusqlite, `.outbox(&outbox, &mut tx)` with sqlx"
)]
pub trait WriteOutbox<Tx>: OutboxTable {
    /// How the answer comes: `T` itself, or a future of it.
    type Reply<T: Send + 'static>;

    /// Writes `rows` through `tx`, all or none, in this order, and hands the answer to `finish` (laws 1, 2, 6). With `Err`
    /// nothing is written and `finish` turns the error into the reply.
    ///
    /// The bounds of [`check`](super::check) hold.
    fn write<T, F>(&self, tx: Tx, rows: Result<Vec<NewRow>>, finish: F) -> Self::Reply<T>
    where
        T: Send + 'static,
        F: FnOnce(Result<()>) -> T + Send + 'static;
}

//! Trying a stored task without running it: what would its handler do?

use super::{Client, Error, Result};
use crate::engine::{DryRun, Worker};
use crate::id::TaskId;
use crate::store::TaskStore;

impl<S: TaskStore + ?Sized> Client<S> {
    /// Runs the handler of a stored task, in any state, on a copy in memory and tells what would become of the task.
    /// The store is read once and not written: the task, its version included, stays as it is.
    ///
    /// The handler comes from `worker`, with its states, timeout, fallback and retry policy; the worker need not be started.
    /// The handler finds [`Ctx::is_dry_run`](crate::executor::Ctx::is_dry_run) true **and has to leave out its effects
    /// itself**: what it does to the world, and to this store by a client of its own, is done.
    ///
    /// The copy is what the next attempt would get:
    ///
    /// | state | attempt |
    /// |---|---|
    /// | pending | the next one, as if it were due now |
    /// | running | the one that would follow if this one were lost |
    /// | waiting | the first of the next step, as if the wait's deadline had come |
    /// | joining | the one behind the children, counted as they stand |
    /// | ended | as after a [`rerun`](Self::rerun) |
    ///
    /// A requested cancel and a start deadline are passed over: they would only keep the handler from running.
    /// If this future is dropped, so is the handler's.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NoHandler`] when the worker does not run its kind; [`Error::Rejected`] when an ended
    /// parent has open children and so could not be rerun; or the store failed. A handler that fails is no error but an
    /// answer.
    pub async fn dry_run(&self, id: TaskId, worker: &Worker) -> Result<DryRun> {
        let detail = self.get(id).await?.ok_or(Error::NotFound(id))?;
        worker.rehearse(detail).await
    }
}

//! The commit hook: a task inserted as running inside the user's transaction starts here right after the commit.

use super::enqueue::only;
use super::{Enqueue, Enqueued, Error, Result};
use crate::engine::Reservation;
use crate::id::TaskId;
use crate::store::{Enlist, Inserted, StoreError, TaskStore};
use crate::task::NewTask;

/// Starts a task on this node once the transaction that inserted it has committed, without a claim.
///
/// Call [`committed`](Self::committed) right after the commit. Dropped without it, nothing runs here: the place that was
/// kept for the task is free again, and if the transaction was committed after all, or the process dies in between,
/// the task is not lost: this worker hands it back after two heartbeats, or another one rescues it when the
/// lease has ended.
#[derive(Debug)]
#[must_use = "call `committed()` when the transaction has committed; dropped, it frees the place that is kept for the task"]
pub struct RunAfterCommit(Option<(Reservation, TaskId)>);

impl RunAfterCommit {
    /// Whether the task was inserted as running here. False: it waits for any worker, and [`committed`](Self::committed)
    /// does nothing.
    #[must_use]
    pub const fn is_leased(&self) -> bool {
        self.0.is_some()
    }

    /// The transaction has committed: starts the task in the background.
    ///
    /// One read makes sure that it is there, and still this worker's: a task that went with a savepoint rolled back inside
    /// the transaction does not run, nor one whose commit failed without the caller's knowing.
    ///
    /// # Panics
    /// Outside a tokio runtime, unless the worker was given another [`Spawn`](crate::seams::Spawn).
    pub fn committed(self) {
        if let Some((place, id)) = self.0 {
            place.start_if_born(id);
        }
    }

    fn new(place: Option<Reservation>, id: TaskId, inserted: Inserted) -> Self {
        let leased = inserted == Inserted::New { leased: true };
        Self(place.filter(|_| leased).map(|place| (place, id)))
    }
}

/// A task on its way into a transaction, and what becomes of the answer.
pub(super) struct Enlisting {
    pub(super) tasks: crate::store::Result<Vec<NewTask>>,
    pub(super) now: crate::time::Timestamp,
    finish: Finish,
}

/// Turns the store's answer into the caller's.
pub(super) struct Finish {
    id: TaskId,
    place: Option<Reservation>,
    invalid: Option<crate::draft::InvalidTask>,
}

impl Finish {
    pub(super) fn answer(
        self,
        answer: crate::store::Result<Vec<Inserted>>,
    ) -> Result<(Enqueued, RunAfterCommit)> {
        match (answer, self.invalid) {
            (Ok(inserted), _) => {
                let inserted = only(inserted)?;
                let run = RunAfterCommit::new(self.place, self.id, inserted);
                Ok((Enqueued::of(self.id, inserted), run))
            }
            (Err(_), Some(invalid)) => Err(Error::Invalid(invalid)),
            (Err(error), None) => Err(Error::Store(error)),
        }
    }

    /// The answer of an outbox, which only keeps the task.
    pub(super) fn written(self, answer: crate::store::Result<()>) -> Result<TaskId> {
        match (answer, self.invalid) {
            (Ok(()), _) => Ok(self.id),
            (Err(_), Some(invalid)) => Err(Error::Invalid(invalid)),
            (Err(error), None) => Err(Error::Store(error)),
        }
    }
}

impl Enlisting {
    pub(super) fn split(self) -> (crate::store::Result<Vec<NewTask>>, crate::time::Timestamp, Finish) {
        (self.tasks, self.now, self.finish)
    }
}

impl<S: TaskStore + ?Sized> Enqueue<'_, S> {
    /// Builds the task; with `leased` it may be born running here.
    pub(super) fn enlisting(self, leased: bool) -> Enlisting {
        // No round trip here: others wait for what the transaction has locked.
        let shared = &self.client.shared;
        let draft = self.client.in_context(self.draft);
        let place = shared.place_at(&draft, |shard| self.client.local_now(shard));
        let now = place.now;
        let mut built = shared.build(draft, place);
        let place = match &mut built {
            Ok(task) if leased => self.client.reserve(task, now),
            _ => None,
        };
        let finish = Finish {
            id: built.as_ref().map_or(TaskId::MIN, |task| task.id),
            place,
            invalid: built.as_ref().err().cloned(),
        };
        let tasks = built
            .map(|task| vec![task])
            .map_err(|error| StoreError::invalid(error.to_string()));
        Enlisting { tasks, now, finish }
    }

    /// As [`in_tx`](Self::in_tx), and the task is inserted as running on the worker that the client is
    /// [attached](super::Client::attach) to: it starts here right after the commit, without a claim.
    ///
    /// The second part of the answer starts it. A task that is not due yet, whose kind or queue the worker does not serve,
    /// for which it has no permit, or whose queue is paused, is inserted as usual; [`RunAfterCommit::is_leased`] says which.
    ///
    /// ```
    /// # use retry_core as task_retry;
    /// # use task_retry::{client::{Client, Error}, draft::TaskPayload, store::{Enlist, TaskStore}};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)] struct Welcome;
    /// # impl TaskPayload for Welcome { const KIND: &'static str = "welcome"; }
    /// # type Answer = Result<(task_retry::client::Enqueued, task_retry::client::RunAfterCommit), Error>;
    /// # trait Commit { fn commit(self) -> Result<(), Error>; }
    /// # fn blocking<S, Tx: Commit>(client: Client<S>, tx: Tx) -> Result<(), Error>
    /// # where S: TaskStore + for<'t> Enlist<&'t Tx, Reply<Answer> = Answer> {
    /// let (enqueued, run) = client.enqueue(Welcome).in_tx_leased(&tx)?;
    /// tx.commit()?;
    /// run.committed();
    /// # Ok(()) }
    /// ```
    pub fn in_tx_leased<Tx, Reply>(self, tx: Tx) -> Reply
    where
        S: Enlist<Tx, Reply<Result<(Enqueued, RunAfterCommit)>> = Reply>,
    {
        let client = self.client;
        let (tasks, now, finish) = self.enlisting(true).split();
        client
            .store
            .enlist(tx, tasks, now, move |answer| finish.answer(answer))
    }
}

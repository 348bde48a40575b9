//! Enqueueing: one task by a builder that is awaited, many at once, or inside the user's transaction.

use std::future::IntoFuture;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Client, Result, insert};
use crate::draft::{Draft, option_setters};
use crate::id::TaskId;
use crate::limits::{MAX_BATCH, MAX_CALL_BYTES};
use crate::store::{self, Enlist, Inserted, StoreError, StoreErrorKind, TaskStore};
use crate::task::NewTask;

/// A task that is about to be enqueued: set options, then `.await` it, or hand it to [`in_tx`](Self::in_tx).
///
/// Awaiting is cancel-safe in this sense: a dropped future may or may not have enqueued the task.
#[derive(Debug)]
#[must_use = "a task is enqueued when this is awaited"]
pub struct Enqueue<'c, S: TaskStore + ?Sized> {
    pub(super) client: &'c Client<S>,
    pub(super) draft: Draft,
}

/// An enqueued task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The task that now stands for the request: the new one, or the holder of its unique key.
    pub id: TaskId,
    /// How the insert ended.
    pub inserted: Inserted,
}

impl Enqueued {
    /// Whether a new task was stored.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        // A repeated id can only be this call's own, sent again.
        matches!(self.inserted, Inserted::New { .. } | Inserted::Repeated)
    }

    pub(super) fn of(id: TaskId, inserted: Inserted) -> Self {
        let id = match inserted {
            Inserted::Duplicate { holder, .. } | Inserted::Replaced { holder } => holder,
            Inserted::New { .. } | Inserted::Repeated | Inserted::NotTried => id,
        };
        Self { id, inserted }
    }
}

impl<S: TaskStore + ?Sized> Client<S> {
    /// Enqueues a task when awaited: a typed payload, or a [`Draft`].
    pub fn enqueue(&self, task: impl Into<Draft>) -> Enqueue<'_, S> {
        Enqueue {
            client: self,
            draft: task.into(),
        }
    }

    /// Enqueues many tasks, in calls of up to 1,000 tasks and 8 MiB, and answers for each in order.
    ///
    /// Everything is checked before the first call; each call is atomic, the whole is not.
    ///
    /// # Errors
    /// The first invalid task, before anything is written; or the store failed at a call: the calls before it stand.
    pub async fn enqueue_many<D: Into<Draft>>(
        &self,
        tasks: impl IntoIterator<Item = D>,
    ) -> Result<Vec<Enqueued>> {
        let drafts: Vec<Draft> = tasks.into_iter().map(Into::into).collect();
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let shared = &self.shared;
        let now = shared.now().await?;
        let tasks = drafts
            .into_iter()
            .map(|draft| shared.build(self.in_context(draft), now))
            .collect::<Result<Vec<_>, _>>()?;
        let mut enqueued = Vec::with_capacity(tasks.len());
        for call in calls(&tasks) {
            let inserted = insert(shared.store.as_ref(), shared.clock.as_ref(), call).await?;
            shared.meters.enqueued(call, &inserted);
            enqueued.extend(
                call.iter()
                    .zip(inserted)
                    .map(|(task, inserted)| Enqueued::of(task.id, inserted)),
            );
        }
        Ok(enqueued)
    }
}

/// Cuts tasks into calls within the bounds.
fn calls(tasks: &[NewTask]) -> impl Iterator<Item = &[NewTask]> {
    let mut rest = tasks;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(MAX_BATCH).take_while(|task| {
            bytes += task.bytes();
            bytes <= MAX_CALL_BYTES
        });
        // A task larger than any call goes alone, so that its refusal is the store's.
        let n = fits.count().max(1).min(rest.len());
        let (call, behind) = rest.split_at(n);
        rest = behind;
        (n > 0).then_some(call)
    })
}

impl<'c, S: TaskStore + ?Sized> Enqueue<'c, S> {
    fn map_options(
        mut self,
        change: impl FnOnce(crate::draft::TaskOptions) -> crate::draft::TaskOptions,
    ) -> Self {
        self.draft = self.draft.map_options(change);
        self
    }

    option_setters!();

    /// Enqueues inside the caller's transaction: the task exists when that commits and never if it rolls back.
    ///
    /// With a blocking driver (rusqlite: `.in_tx(&tx)?`) the answer is a plain result, with an asynchronous one
    /// (sqlx: `.in_tx(&mut tx).await?`) a future.
    // The reply is a parameter, not a projection: only then does the compiler say for a store that cannot join what
    // `Enlist` has to say about it.
    pub fn in_tx<Tx, Reply>(self, tx: Tx) -> Reply
    where
        S: Enlist<Tx, Reply<Result<Enqueued>> = Reply>,
    {
        let client = self.client;
        let (tasks, now, finish) = self.enlisting(false).split();
        client.store.enlist(tx, tasks, now, move |answer| {
            finish.answer(answer).map(|(enqueued, _)| enqueued)
        })
    }
}

pub(super) fn only(inserted: Vec<Inserted>) -> store::Result<Inserted> {
    inserted
        .into_iter()
        .next()
        .ok_or_else(|| StoreError::unknown(StoreErrorKind::Other, "the store did not answer for the task"))
}

impl<'c, S: TaskStore + ?Sized> IntoFuture for Enqueue<'c, S> {
    type Output = Result<Enqueued>;
    type IntoFuture = BoxFuture<'c, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let shared = Arc::clone(&self.client.shared);
        let draft = self.client.in_context(self.draft);
        Box::pin(async move {
            let now = shared.now().await?;
            let task = shared.build(draft, now)?;
            let id = task.id;
            match shared.coalescer.insert(task).await? {
                Inserted::NotTried => Err(super::not_tried().into()),
                inserted => Ok(Enqueued::of(id, inserted)),
            }
        })
    }
}

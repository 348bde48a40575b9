//! Enqueueing: one task by a builder that is awaited, many at once, or inside the user's transaction.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};

use super::home::{Place, Silent};
use super::{Client, Error, Result, Shared, insert, not_tried};
use crate::draft::{Draft, option_setters};
use crate::id::TaskId;
use crate::limits::{MAX_BATCH, MAX_CALL_BYTES};
use crate::outbox::{self, WriteOutbox};
use crate::store::{self, Certainty, Enlist, Inserted, StoreError, StoreErrorKind, TaskStore, check};
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
    /// Everything is checked before the first call; each call is atomic, the whole is not. A [sharded
    /// store](crate::sharded) gets calls for each of its parts, all parts at once: the tasks of a part that certainly took
    /// none of them are answered by [`Inserted::NotTried`]. One that falls silent in the middle of the call is waited for, up to
    /// three of its [call limits](crate::sharded::Builder::call_limit); afterwards it is not called for a while.
    ///
    /// # Errors
    /// The first invalid task, before anything is written; or the store failed at a call: the calls before it stand, and
    /// those of other parts.
    pub async fn enqueue_many<D: Into<Draft>>(
        &self,
        tasks: impl IntoIterator<Item = D>,
    ) -> Result<Vec<Enqueued>> {
        let drafts: Vec<Draft> = tasks.into_iter().map(Into::into).collect();
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let shared = &self.shared;
        let mut silent = shared.silent(&drafts).await;
        let mut tasks = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let draft = self.in_context(draft);
            let place = shared.place_of_many(&draft, &mut silent).await?;
            tasks.push(shared.build(draft, place)?);
        }
        shared.insert_many(tasks, silent).await
    }
}

impl Shared {
    /// Inserts tasks part by part, all parts at once but those that are silent, and answers in input order.
    async fn insert_many(&self, tasks: Vec<NewTask>, silent: Silent) -> Result<Vec<Enqueued>> {
        let mut enqueued: Vec<Enqueued> = tasks.iter().map(untried).collect();
        let mut parts: BTreeMap<usize, (Vec<usize>, Vec<NewTask>)> = BTreeMap::new();
        for (place, task) in tasks.into_iter().enumerate() {
            let (places, those) = parts.entry(self.part(task.id.shard())).or_default();
            places.push(place);
            those.push(task);
        }
        let alone = parts.len() == 1;
        let mut refusal = None;
        for (part, error) in silent {
            if parts.remove(&part).is_some() {
                tracing::debug!(%error, part, "a part of the store does not tell its time and is given nothing");
                refusal = Some(error);
            }
        }
        let sending = parts.into_iter().map(|(part, (places, those))| async move {
            let (answers, failed) = self.insert_all(part, &those).await;
            (places, answers, failed)
        });
        let mut any = false;
        for (places, answers, failed) in join_all(sending).await {
            any |= !answers.is_empty();
            for (place, answer) in places.into_iter().zip(answers) {
                enqueued[place] = answer;
            }
            match failed {
                None => {}
                // Its tasks are answered as not tried.
                Some(error) if !alone && is_silence(&error) => {
                    tracing::debug!(%error, "a part of the store took nothing");
                    refusal = Some(error);
                }
                Some(error) => return Err(error.into()),
            }
        }
        match refusal {
            Some(error) if !any => Err(error.into()),
            _ => Ok(enqueued),
        }
    }

    /// Inserts tasks of one part, call by call; the answers so far, and the failure that ended it.
    async fn insert_all(&self, part: usize, tasks: &[NewTask]) -> (Vec<Enqueued>, Option<StoreError>) {
        let mut enqueued = Vec::with_capacity(tasks.len());
        for call in calls(tasks) {
            let clock = self.homes[part].clock.as_ref();
            let inserted = match insert(self.store.as_ref(), clock, call).await {
                Ok(inserted) => inserted,
                Err(error) => return (enqueued, Some(error)),
            };
            self.meters.enqueued(call, &inserted);
            let answers = call.iter().zip(inserted);
            enqueued.extend(answers.map(|(task, inserted)| Enqueued::of(task.id, inserted)));
        }
        (enqueued, None)
    }

    /// Enqueues a task alone, in company with other such ones of its part. One that may go anywhere goes to another part
    /// when its own certainly did not take it.
    async fn enqueue(&self, draft: Draft) -> Result<Enqueued> {
        let mut avoid = Vec::new();
        if draft.shard().is_none() {
            while avoid.len() + 1 < self.homes.len() {
                let place = self.place(&draft, &avoid).await?;
                let part = self.part(place.shard);
                match self.enqueue_at(draft.clone(), place).await {
                    Err(Error::Store(error)) if is_silence(&error) => avoid.push(part),
                    answer => return answer,
                }
            }
        }
        let place = self.place(&draft, &avoid).await?;
        self.enqueue_at(draft, place).await
    }

    async fn enqueue_at(&self, draft: Draft, place: Place) -> Result<Enqueued> {
        let task = self.build(draft, place)?;
        let id = task.id;
        match self.home(id.shard()).coalescer.insert(task).await? {
            Inserted::NotTried => Err(not_tried().into()),
            inserted => Ok(Enqueued::of(id, inserted)),
        }
    }
}

/// What stands for a task whose part takes nothing.
fn untried(task: &NewTask) -> Enqueued {
    Enqueued::of(task.id, Inserted::NotTried)
}

/// The part certainly wrote nothing, because it cannot be reached.
pub(super) fn is_silence(error: &StoreError) -> bool {
    error.certainty() == Certainty::Rejected && error.kind() == StoreErrorKind::Unavailable
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

impl<S: TaskStore + ?Sized> Enqueue<'_, S> {
    /// Writes the task into an [outbox](crate::outbox) of the user's own database, inside the caller's transaction. When that
    /// has committed, a relay of the outbox hands the task over to this client's store, exactly once; if it rolls back,
    /// the task never was. Times such as a delay count from now, not from the hand-over.
    ///
    /// With a blocking driver (rusqlite: `.outbox(&outbox, &tx)?`) the answer is a plain result, with an asynchronous one
    /// (sqlx: `.outbox(&outbox, &mut tx).await?`) a future. It is the task's id. Whether the holder of a unique key keeps the
    /// task out is known at the hand-over only.
    ///
    /// # Errors
    /// The task is invalid or too large, or the store is a [sharded](crate::sharded) one, whose tasks no single hand-over
    /// reaches: then nothing is written. Or the database failed: as the driver has it, the transaction may have to be rolled back.
    pub fn outbox<O, Tx, Reply>(self, outbox: &O, tx: Tx) -> Reply
    where
        O: WriteOutbox<Tx, Reply<Result<TaskId>> = Reply>,
    {
        let refused = outbox::refuse_parts(self.client.shared.store.as_ref());
        let (tasks, now, finish) = self.enlisting(false).split();
        let rows = refused.and(tasks).and_then(|tasks| {
            check::insert(&tasks)?;
            tasks.into_iter().map(|task| outbox::encode(task, now)).collect()
        });
        outbox.write(tx, rows, move |answer| finish.written(answer))
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
        Box::pin(async move { shared.enqueue(draft).await })
    }
}

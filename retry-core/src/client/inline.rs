//! Running what is enqueued here and now: in the background, in the caller, or before anything is stored.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::attach::{Birth, insert, insert_at};
use super::{Enqueue, Enqueued, Error, Result, Shared};
use crate::engine::{self, Recorded, Reservation, Tried, born};
use crate::id::TaskId;
use crate::payload::Payload;
use crate::store::{StoreError, StoreErrorKind, TaskStore, Written};
use crate::task::{ErrorText, NewTask, State, Target, WaitToken};
use crate::time::Timestamp;

/// What became of a task that was run where it was enqueued, as the store has recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inline {
    /// It succeeded, with this output.
    Succeeded(Option<Payload>),
    /// The attempt failed; the workers retry it.
    Retrying {
        /// The task.
        id: TaskId,
        /// When.
        at: Timestamp,
        /// What went wrong.
        error: ErrorText,
    },
    /// It failed for good.
    Failed {
        /// The task.
        id: TaskId,
        /// What went wrong.
        error: ErrorText,
    },
    /// It waits for a completion.
    Waiting {
        /// The task.
        id: TaskId,
        /// What completes it.
        token: WaitToken,
    },
    /// It waits for the children that it was split into.
    Split {
        /// The task.
        id: TaskId,
    },
    /// It is not done and has not failed: snoozed, to be continued, or given back because the worker stops.
    Later {
        /// The task.
        id: TaskId,
        /// When it is due.
        at: Timestamp,
    },
    /// It was cancelled, or its start deadline had passed.
    Cancelled {
        /// The task.
        id: TaskId,
    },
    /// It was not run here: it is not due yet, another task holds its unique key, the worker does not serve its kind or
    /// queue, has no permit or lease, or the queue is paused. It waits for the workers as usual.
    Enqueued(Enqueued),
    /// It is stored, and this worker does not know what was recorded: the lease ended, the task was taken away, the worker
    /// stopped meanwhile, or the store did not say how it has it. Whoever has it now settles or repeats it.
    Lost {
        /// The task.
        id: TaskId,
    },
}

impl Inline {
    /// The output of a success; none without one.
    ///
    /// # Errors
    /// It does not describe a `T`.
    pub fn output<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        match self {
            Self::Succeeded(Some(output)) => output.decode().map(Some),
            _ => Ok(None),
        }
    }

    /// A task that does not run here.
    const fn unborn(birth: &Birth) -> Self {
        match birth.lost {
            true => Self::Lost {
                id: birth.enqueued.id,
            },
            false => Self::Enqueued(birth.enqueued),
        }
    }

    fn of(token: WaitToken, recorded: Option<Recorded>) -> Self {
        let id = token.task;
        let Some(Recorded {
            action,
            applied,
            output,
        }) = recorded
        else {
            return Self::Lost { id };
        };
        match Written::of(&action, &applied) {
            Some(Written::Target { to, .. }) => Self::of_target(token, to, output),
            Some(Written::Forgotten) => Self::Succeeded(output),
            None => Self::Lost { id },
        }
    }

    fn of_target(token: WaitToken, target: &Target, output: Option<Payload>) -> Self {
        let (id, at) = (token.task, target.run_at);
        let error = target.failure.as_ref().map(|failure| failure.error.clone());
        match (target.state, error) {
            (State::Succeeded, _) => Self::Succeeded(output),
            (State::Failed, error) => Self::Failed {
                id,
                error: error.unwrap_or_else(|| ErrorText::new("")),
            },
            (State::Cancelled, _) => Self::Cancelled { id },
            (State::Waiting, _) => Self::Waiting { id, token },
            (State::Joining, _) => Self::Split { id },
            (State::Pending, Some(error)) => Self::Retrying { id, at, error },
            (State::Pending, None) => Self::Later { id, at },
            (State::Running, _) => Self::Lost { id },
        }
    }
}

/// The token of the first step.
const fn token(task: &NewTask) -> WaitToken {
    WaitToken {
        task: task.id,
        step: 0,
        secret: task.wait_secret,
    }
}

impl<S: TaskStore + ?Sized> Enqueue<'_, S> {
    /// Enqueues the task and starts it at once in the background of the worker that the client is
    /// [attached](super::Client::attach) to, without a claim. Durable on return, as ever.
    ///
    /// A task that cannot start here (see [`Inline::Enqueued`]) waits for the workers; the answer's
    /// [`Inserted::New`](crate::store::Inserted::New) says which. On a client that is not attached this is a plain enqueue.
    ///
    /// # Errors
    /// As a plain enqueue.
    pub async fn run_here(self) -> Result<Enqueued> {
        let birth = self.birth().await?.1;
        if let Some((place, record)) = birth.born {
            place.start(record);
        }
        Ok(birth.enqueued)
    }

    /// Enqueues the task and runs it in this very future, as an attempt of the worker that the client is
    /// [attached](super::Client::attach) to: under its limits, its lease, the kind's timeout, retries and fallback.
    ///
    /// The task is durable before the handler starts, and its outcome before this returns: if the process dies in between,
    /// another worker runs it again. A failed attempt is retried later by the workers as usual. A task that is
    /// not due, or cannot start here, is enqueued: [`Inline::Enqueued`].
    ///
    /// A dropped future drops the handler and hands the task back to the workers.
    ///
    /// # Errors
    /// [`Error::NotAttached`], or as a plain enqueue: nothing ran.
    pub async fn run_inline(self) -> Result<Inline> {
        if !self.client.is_attached() {
            return Err(Error::NotAttached);
        }
        let (token, birth) = self.birth().await?;
        let Some((place, record)) = birth.born else {
            return Ok(Inline::unborn(&birth));
        };
        Ok(Inline::of(token, engine::run_inline(place, record).await))
    }

    async fn birth(self) -> Result<(WaitToken, Birth)> {
        let shared = Arc::clone(&self.client.shared);
        let draft = self.client.in_context(self.draft);
        let place = shared.place(&draft, &[]).await?;
        let now = place.now;
        let mut task = shared.build(draft, place)?;
        let place = self.client.reserve(&mut task, now);
        Ok((token(&task), insert(&shared, task, place, now).await?))
    }

    /// Runs the handler in this very future and stores the task only if it does not succeed: then with the attempt that has
    /// failed, to be retried by the workers as usual. For work that nearly always succeeds, where a write before it costs
    /// more than it is worth.
    ///
    /// **This is weaker than every other mode.** Until the handler has ended the task exists nowhere but in this process: a
    /// crash in the middle loses it, with whatever the handler had done. Also:
    /// - a success leaves no record, so it cannot be looked up, its output comes back here only, and its unique key keeps
    ///   nobody out; whether the key is held is not asked before the run;
    /// - a pause of the queue is not asked about either;
    /// - progress saved by a checkpoint is kept in memory until the attempt has failed, and stored with it;
    /// - [`Ctx::version`](crate::executor::Ctx::version) fences no other worker: there is none yet;
    /// - what the handler enqueues on success is inserted after it, not with it.
    ///
    /// An error, a panic, a timeout, a follow-up that is invalid, and every outcome that needs a record (snooze, continue,
    /// wait, split, stop) store the task. So does a dropped future, in the background, as an attempt that has failed. Where the task
    /// cannot be stored as running here, because the lease is gone or the queue is paused, it is stored as new and the
    /// failed attempt is not counted: [`Inline::Enqueued`]. A task that is not due, or cannot start here, is only enqueued.
    ///
    /// # Errors
    /// [`Error::NotAttached`] or an invalid task, before anything ran. [`Error::Store`]: the handler ran, and what had
    /// to be stored was not, or may not have been.
    pub async fn try_first(self) -> Result<Inline> {
        if !self.client.is_attached() {
            return Err(Error::NotAttached);
        }
        let shared = Arc::clone(&self.client.shared);
        // No round trip: a reading that failed must not keep the handler from running.
        let draft = self.client.in_context(self.draft);
        let place = shared.place_at(&draft, |shard| self.client.local_now(shard));
        let now = place.now;
        let mut task = shared.build(draft, place)?;
        let Some(place) = self.client.reserve(&mut task, now) else {
            let inserted = insert_at(&shared, &task, now).await?;
            return Ok(Inline::Enqueued(Enqueued::of(task.id, inserted)));
        };
        let unborn = born(&task, place.session(), now);
        let mut trying = Trying(Some((shared, task, place)), now);
        let tried = match &mut trying.0 {
            Some((_, _, place)) => engine::try_run(place, unborn).await,
            None => return Err(Error::NotAttached),
        };
        let Some((shared, task, place)) = trying.0.take() else {
            return Err(Error::NotAttached);
        };
        match tried.success() {
            Ok((output, follow_ups)) => {
                shared.meters.tried(&task);
                for task in follow_ups {
                    insert_at(&shared, &task, place.now()).await?;
                }
                Ok(Inline::Succeeded(output))
            }
            Err(tried) => keep(shared, task, place, *tried).await,
        }
    }
}

/// A task that is being tried, and since when; dropped meanwhile, it is stored.
struct Trying(Option<(Arc<Shared>, NewTask, Reservation)>, Timestamp);

impl Drop for Trying {
    fn drop(&mut self) {
        let Some((shared, task, place)) = self.0.take() else {
            return;
        };
        let id = task.id;
        let tried = Tried::abandoned(self.1);
        // Without a runtime there is no background, and a panic in a drop would take the process along.
        let kept = catch_unwind(AssertUnwindSafe(|| {
            place.spawner().spawn(Box::pin(async move {
                if let Err(error) = persist(&shared, task, place, tried).await {
                    tracing::error!(task = %id, %error, "a task whose try was dropped is lost, or may be: it was not stored");
                }
            }));
        }));
        if kept.is_err() {
            tracing::error!(task = %id, "a task whose try was dropped could not be stored: nothing runs in the background");
        }
    }
}

/// Stores a task that was tried, in the background, so that a caller who goes away does not lose it.
async fn keep(shared: Arc<Shared>, task: NewTask, place: Reservation, tried: Tried) -> Result<Inline> {
    let (reply, answer) = oneshot::channel();
    place.spawner().spawn(Box::pin(async move {
        // Nobody may be waiting.
        let _ = reply.send(persist(&shared, task, place, tried).await);
    }));
    answer.await.unwrap_or_else(|_| {
        let message = "the driver panicked, or the worker's runtime stopped, while the task was being stored";
        Err(StoreError::unknown(StoreErrorKind::Other, message).into())
    })
}

/// Stores a task that was tried, as running here, and then the end of its try as that of its first attempt.
async fn persist(shared: &Shared, mut task: NewTask, mut place: Reservation, tried: Tried) -> Result<Inline> {
    // Not before it is due: the parts of a store may read its clock a little apart.
    let now = place.now().max(task.run_at);
    task.leased_by = place.renew_session();
    let token = token(&task);
    let birth = insert(shared, task, Some(place), now).await?;
    let Some((place, record)) = birth.born else {
        return Ok(Inline::unborn(&birth));
    };
    Ok(Inline::of(
        token,
        engine::settle_tried(place, record, tried).await,
    ))
}

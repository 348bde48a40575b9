//! What a handler can know and do besides its payload.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::progress::{Known, NotWritten, Progress};
use super::stored::Stored;
use crate::draft::{Draft, InvalidTask};
use crate::headers::Headers;
use crate::id::TaskId;
use crate::name::{Kind, Queue};
use crate::payload::{InvalidPayload, Payload};
use crate::store::{self, Listed, Page, TaskFilter};
use crate::task::{Children, Completion, CompletionOutcome, NewTask, Task, WaitToken};
use crate::time::Timestamp;

/// The values that handlers share, by type.
#[derive(Clone, Default)]
pub struct States(Arc<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl States {
    pub(crate) fn new(states: HashMap<TypeId, Arc<dyn Any + Send + Sync>>) -> Self {
        Self(Arc::new(states))
    }

    pub(crate) fn contains(&self, id: TypeId) -> bool {
        self.0.contains_key(&id)
    }

    /// The value of type `S`.
    #[must_use]
    pub fn get<S: Clone + Send + Sync + 'static>(&self) -> Option<S> {
        self.0.get(&TypeId::of::<S>())?.downcast_ref::<S>().cloned()
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({})", self.0.len())
    }
}

/// The lease is gone: another worker may have the task. Stop, without further effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseLost;

impl fmt::Display for LeaseLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lease is gone; another worker may have the task")
    }
}

impl std::error::Error for LeaseLost {}

/// How a context reaches its worker while the attempt runs.
#[async_trait]
pub(crate) trait Attempt: fmt::Debug + Send + Sync {
    /// The task's version as this attempt knows it.
    fn version(&self) -> u64;

    /// Whether effects are to be left out.
    fn is_dry_run(&self) -> bool;

    /// Stores progress; raises the version.
    async fn checkpoint(self: Arc<Self>, progress: Progress) -> Result<(), NotWritten>;

    /// The store's time.
    fn now(&self) -> Timestamp;

    /// A child of the task, with what is handed down to it.
    fn child(&self, id: TaskId, draft: Draft, headers: &Headers) -> Result<NewTask, InvalidTask>;

    /// Stores progress together with children, in one write; raises the version.
    async fn insert_children(
        self: Arc<Self>,
        progress: Progress,
        children: Vec<NewTask>,
    ) -> Result<(), NotWritten>;

    /// Stores progress together with tasks that are not the task's children, in one write; raises the version.
    async fn insert_tasks(self: Arc<Self>, progress: Progress, tasks: Vec<NewTask>)
    -> Result<(), NotWritten>;

    /// Lists tasks of the store.
    async fn list(&self, filter: &TaskFilter, page: &Page) -> store::Result<Listed>;
}

/// How far a split came in an attempt that ends with it.
#[derive(Debug)]
pub(crate) enum SplitEnd {
    /// To its last children.
    Complete(LastChunk),
    /// There are more; another attempt goes on.
    HandedBack,
}

/// A split's last children, which its outcome inserts.
#[derive(Debug)]
pub(crate) struct LastChunk {
    /// The checkpoint behind them.
    pub(crate) stored: Stored,
    pub(crate) children: Vec<NewTask>,
}

/// The context of one attempt. Cloning is cheap; clones share it.
#[derive(Debug, Clone)]
pub struct Ctx(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    task: Arc<Task>,
    headers: Headers,
    known: Known,
    split_end: Mutex<Option<SplitEnd>>,
    passed_over: PassedOver,
    completion: Option<CompletionOutcome>,
    cancellation: CancellationToken,
    states: States,
    follow_ups: Mutex<Vec<Draft>>,
    attempt: Arc<dyn Attempt>,
}

/// How long an attempt has passed over shards that earlier ones have stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct PassedOver(Arc<AtomicU64>);

impl PassedOver {
    pub(crate) fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn add(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(millis, Ordering::AcqRel);
    }
}

/// What a claimed task brings along beside its record and its payload.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) headers: Headers,
    pub(crate) checkpoint: Option<Payload>,
    pub(crate) completion: Option<Completion>,
}

impl Ctx {
    pub(crate) fn new(
        task: Arc<Task>,
        carried: Carried,
        cancellation: CancellationToken,
        states: States,
        attempt: Arc<dyn Attempt>,
    ) -> Self {
        let delivered = |step: u32| step.checked_add(1) == Some(task.step);
        let completion = carried.completion.filter(|completion| delivered(completion.step));
        Self(Arc::new(Inner {
            task,
            headers: carried.headers,
            known: Known::new(Stored::read(carried.checkpoint)),
            split_end: Mutex::default(),
            passed_over: PassedOver::default(),
            completion: completion.map(|completion| completion.outcome),
            cancellation,
            states,
            follow_ups: Mutex::default(),
            attempt,
        }))
    }

    /// The task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.0.task.id
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.0.task.kind
    }

    /// Its queue.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.0.task.queue
    }

    /// The number of this attempt in this step, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.task.attempt
    }

    /// The fencing token: greater in every later attempt of this task, by any worker. Store it with a side effect and
    /// refuse a lower one, and no worker that lost its lease can overwrite its successor's work.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.attempt.version()
    }

    /// When a rescuer takes the task away from this attempt, if it has a deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.0.task.alarm_at
    }

    /// Waits and splits passed.
    #[must_use]
    pub fn step(&self) -> u32 {
        self.0.task.step
    }

    /// How often an operator reran the task.
    #[must_use]
    pub fn reruns(&self) -> u32 {
        self.0.task.reruns
    }

    /// When the task was enqueued.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.0.task.created_at
    }

    /// The headers it was enqueued with.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// Its children, counted over all its splits, as they stood when the attempt was claimed.
    #[must_use]
    pub fn children(&self) -> Children {
        self.0.task.children
    }

    /// The progress stored last, by this attempt or an earlier one.
    ///
    /// # Errors
    /// It does not describe a `T`.
    pub fn checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.stored().own.map(|payload| payload.decode()).transpose()
    }

    /// Stores progress under the lease. The fencing version is one higher afterwards.
    ///
    /// Cancel-safe: a dropped call may or may not have stored it.
    ///
    /// # Errors
    /// The progress does not serialize or is too large, or the lease is gone ([`LeaseLost`] in the chain; the attempt
    /// is cancelled then).
    pub async fn save_checkpoint<T: Serialize + Sync + ?Sized>(
        &self,
        progress: &T,
    ) -> Result<(), CheckpointError> {
        let invalid = |error: InvalidPayload| CheckpointError::Invalid(error.into());
        let own = Payload::encode(progress).map_err(invalid)?;
        let progress = Progress::own(self.known(), own);
        let written = Arc::clone(&self.0.attempt).checkpoint(progress).await;
        written.map_err(|error| match error {
            NotWritten::Invalid(error) => invalid(error),
            NotWritten::LeaseLost | NotWritten::NotStored | NotWritten::Refused(_) => {
                CheckpointError::LeaseLost(LeaseLost)
            }
        })
    }

    /// What completed the wait of the step before; none when it reached its deadline or there was no wait.
    ///
    /// # Errors
    /// It does not describe a `T`.
    pub fn completion<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        match &self.0.completion {
            Some(CompletionOutcome::Resume(data)) => data.decode().map(Some),
            _ => Ok(None),
        }
    }

    /// The token that completes this step's wait. It may be used before the wait begins.
    #[must_use]
    pub fn wait_token(&self) -> WaitToken {
        self.0.task.wait_token()
    }

    /// Whether the attempt is to stop: cancelled by an operator, lease lost, timed out, or shutting down.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancellation.is_cancelled()
    }

    /// Ends when the attempt is to stop. Cancel-safe.
    pub async fn cancelled(&self) {
        self.0.cancellation.cancelled().await;
    }

    /// The token behind [`cancelled`](Self::cancelled), to hand to code of your own.
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.0.cancellation.clone()
    }

    /// Whether effects outside are to be left out: in [`Client::dry_run`](crate::client::Client::dry_run) and in workers
    /// made by [`Worker::dry_run`](crate::engine::Worker::dry_run). Always false when a task of a real store really runs.
    ///
    /// What a handler does through this context (checkpoints, follow-ups) reaches no real store in a dry run; what it
    /// does otherwise is its own to leave out.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.0.attempt.is_dry_run()
    }

    /// Enqueues a task in the same write that records this attempt's success; not at all if it does not succeed.
    pub fn enqueue_on_success(&self, task: impl Into<Draft>) {
        self.0
            .follow_ups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(task.into());
    }

    pub(crate) fn take_follow_ups(&self) -> Vec<Draft> {
        std::mem::take(&mut *self.0.follow_ups.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The context for another run of the same attempt, with a cancellation of its own. What the first run wanted to
    /// enqueue on success is void.
    pub(crate) fn anew(&self, cancellation: CancellationToken) -> Self {
        let inner = &self.0;
        Self(Arc::new(Inner {
            task: Arc::clone(&inner.task),
            headers: inner.headers.clone(),
            known: inner.known.clone(),
            split_end: Mutex::default(),
            passed_over: inner.passed_over.clone(),
            completion: inner.completion.clone(),
            cancellation,
            states: inner.states.clone(),
            follow_ups: Mutex::default(),
            attempt: Arc::clone(&inner.attempt),
        }))
    }

    pub(crate) fn states(&self) -> &States {
        &self.0.states
    }

    pub(crate) fn task(&self) -> &Task {
        &self.0.task
    }

    pub(crate) fn attempt_handle(&self) -> &Arc<dyn Attempt> {
        &self.0.attempt
    }

    /// The checkpoint, taken apart.
    pub(crate) fn stored(&self) -> Stored {
        self.0.known.get()
    }

    pub(crate) fn known(&self) -> Known {
        self.0.known.clone()
    }

    /// The attempt's outcome is that of a split.
    pub(crate) fn set_split_end(&self, end: SplitEnd) {
        *self.0.split_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    pub(crate) fn take_split_end(&self) -> Option<SplitEnd> {
        self.0
            .split_end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// The time that went into passing over stored shards, which no timeout counts.
    pub(crate) fn passed_over(&self) -> &PassedOver {
        &self.0.passed_over
    }
}

/// Why progress was not stored.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It cannot be kept.
    Invalid(InvalidTask),
    /// The lease is gone.
    LeaseLost(LeaseLost),
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the checkpoint was not stored")
    }
}

impl std::error::Error for CheckpointError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(error) => Some(error),
            Self::LeaseLost(error) => Some(error),
        }
    }
}

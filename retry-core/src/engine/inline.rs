//! Attempts that run in the caller's own future: of a task that was just born, or of one that is stored only if it fails.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tracing::Instrument as _;

use super::alerts::Judge;
use super::attempt::{Ended, Failure};
use super::frame::{Abandoned, Frame};
use super::held::{Cancel, Hold};
use super::kind::OnLeaseLost;
use super::lease::Lease;
use super::part::Part;
use super::permits::InUse;
use super::reserve::Reservation;
use super::runnable::Runnable;
use super::runner::{self, Ran};
use super::settle;
use super::teller::{Recorded, Teller};
use crate::clock::Clock as _;
use crate::draft::{Draft, InvalidTask};
use crate::executor::{Attempt, Known, NotWritten, Outcome, Progress};
use crate::headers::Headers;
use crate::id::TaskId;
use crate::limits::{MAX_BATCH, MAX_CALL_BYTES};
use crate::payload::Payload;
use crate::store::{self, Listed, Page, TaskFilter};
use crate::task::{ClaimedTask, ErrorText, NewTask, Task};
use crate::time::Timestamp;

/// Runs a born task here and waits until its outcome is recorded. None: it is not known to be recorded by this worker,
/// because the session ended, the task was taken away, or the worker stopped.
///
/// A dropped future drops the handler and hands the task back.
pub(crate) async fn run_inline(reservation: Reservation, born: ClaimedTask) -> Option<Recorded> {
    let (part, runnable, permit) = reservation.begin(born)?;
    let (teller, answer) = Teller::new();
    // Here nothing else is started with it: what waits is the worker's, and runs where the worker runs.
    let permit = InUse::new(&part.engine, permit);
    runner::run_one(&part, runnable, Some(teller)).await;
    // The permit is free while the store writes.
    drop(permit);
    answer.await.ok()
}

/// How a task that is not stored was tried.
#[derive(Debug)]
pub(crate) struct Tried {
    ran: Ran,
    checkpoint: Option<Payload>,
    /// What it wants to enqueue; none if that is invalid, which is recorded as any attempt's invalid outcome is.
    inserts: Option<Vec<NewTask>>,
    /// The attempt's: what is made of its outcome later belongs to its context.
    span: tracing::Span,
}

impl Tried {
    /// What a success returned, and what it wants to enqueue; of any other end `self` again, which needs the task stored.
    pub(crate) fn success(mut self) -> Result<(Option<Payload>, Vec<NewTask>), Box<Self>> {
        match (self.ran.ended, self.inserts) {
            (Ended::Returned(Outcome::Done), Some(inserts)) => Ok((None, inserts)),
            (Ended::Returned(Outcome::Output(output)), Some(inserts)) => Ok((Some(output), inserts)),
            (ended, _) => {
                (self.ran.ended, self.inserts) = (ended, None);
                Err(Box::new(self))
            }
        }
    }

    /// The end of a try whose caller went away.
    pub(crate) fn abandoned(started_at: Timestamp) -> Self {
        let failure = Failure {
            text: ErrorText::new("the caller went away before the try had ended"),
            is_final: false,
        };
        Self {
            ran: Ran {
                headers: Headers::new(),
                ended: Ended::Failed(failure),
                via_fallback: false,
                judge: Judge::Rules,
                follow_ups: Vec::new(),
                known: Known::default(),
                split_end: None,
                started_at,
            },
            checkpoint: None,
            inserts: None,
            span: tracing::Span::none(),
        }
    }
}

/// Runs a task that is not stored, under the place that is kept for it. The end of the lease does not touch it, a shutdown
/// does.
pub(crate) async fn try_run(reservation: &mut Reservation, unborn: ClaimedTask) -> Tried {
    reservation.run_unborn();
    let part = reservation.part();
    let runnable = Runnable::new(unborn, &part.engine.setup);
    let task = Arc::clone(&runnable.task);
    let in_memory = Arc::new(InMemory {
        part: Arc::clone(part),
        task: Arc::clone(&task),
        checkpoint: Mutex::default(),
    });
    // Dropped early it is stored by the caller: there is nothing to hand back.
    let mut frame = Frame::new(part, &task, &runnable.carried.headers, Abandoned::Leave);
    // Not ours any more if the session has ended since; then only the shutdown's order is missed.
    let _ = frame.start(OnLeaseLost::Continue);
    frame.begin();
    let (span, cancel) = (frame.span().clone(), frame.cancel().clone());
    let attempt = Arc::clone(&in_memory);
    let ran = runner::run_attempt(part, reservation.entry(), runnable, &cancel, attempt)
        .instrument(span.clone())
        .await;
    let inserts = span.in_scope(|| inserts(part, task.id, &ran));
    frame.end();
    Tried {
        ran,
        checkpoint: in_memory.take(),
        inserts,
        span,
    }
}

/// What a success wants to enqueue, if it is valid and within the bounds of one edit.
fn inserts(part: &Part, task: TaskId, ran: &Ran) -> Option<Vec<NewTask>> {
    if !matches!(ran.ended, Ended::Returned(Outcome::Done | Outcome::Output(_))) {
        return None;
    }
    let inserts = settle::follow_ups(part, task, &ran.headers, ran.follow_ups.clone()).ok()?;
    let bytes: usize = inserts.iter().map(NewTask::bytes).sum();
    (inserts.len() <= MAX_BATCH && bytes <= MAX_CALL_BYTES).then_some(inserts)
}

/// Records how a task was tried, now that it is born. None as in [`run_inline`].
pub(crate) async fn settle_tried(
    reservation: Reservation,
    born: ClaimedTask,
    tried: Tried,
) -> Option<Recorded> {
    let entry = Arc::clone(reservation.entry());
    let (part, runnable, permit) = reservation.begin(born)?;
    let permit = InUse::new(&part.engine, permit);
    let hold = Hold::of(&runnable.task);
    let lease = Lease::new(Arc::clone(&part), runnable.task, Cancel::default());
    if let Some(checkpoint) = tried.checkpoint {
        // Without the lease the outcome is refused as well.
        let progress = Progress::own(Known::default(), checkpoint);
        let _ = Arc::clone(&lease).checkpoint(progress).await;
    }
    let task = lease.settled_task().await;
    let judge = tried.ran.judge;
    let edit = tried
        .span
        .in_scope(|| tried.ran.report(&task, &entry).edit(&part));
    let (teller, answer) = Teller::new();
    match edit {
        Some(edit) => part.settle(hold, task, edit, judge, Some(teller)),
        None => part.hand_back_telling(&task, Some(teller)),
    }
    drop(permit);
    answer.await.ok()
}

/// The lease of a task that is not stored: its progress is kept here.
#[derive(Debug)]
struct InMemory {
    part: Arc<Part>,
    task: Arc<Task>,
    checkpoint: Mutex<Option<Payload>>,
}

impl InMemory {
    fn take(&self) -> Option<Payload> {
        self.checkpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

#[async_trait]
impl Attempt for InMemory {
    fn version(&self) -> u64 {
        self.task.version
    }

    fn is_dry_run(&self) -> bool {
        self.part.engine.setup.dry_run
    }

    fn now(&self) -> Timestamp {
        self.part.clock.now()
    }

    fn child(&self, id: TaskId, draft: Draft, headers: &Headers) -> Result<NewTask, InvalidTask> {
        settle::child(&self.part, &self.task, headers, id, draft)
    }

    async fn insert_children(self: Arc<Self>, _: Progress, _: Vec<NewTask>) -> Result<(), NotWritten> {
        Err(NotWritten::NotStored)
    }

    async fn insert_tasks(self: Arc<Self>, _: Progress, _: Vec<NewTask>) -> Result<(), NotWritten> {
        Err(NotWritten::NotStored)
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> store::Result<Listed> {
        self.part.call(self.part.store.list(filter, page)).await
    }

    async fn checkpoint(self: Arc<Self>, progress: Progress) -> Result<(), NotWritten> {
        let mut kept = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = progress.stored();
        *kept = Some(stored.write()?);
        progress.written(stored);
        Ok(())
    }
}

//! Attempts that run in the caller's own future: of a task that was just born, or of one that is stored only if it fails.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::alerts::Judge;
use super::attempt::{Ended, Failure};
use super::held::{Cancel, Hold};
use super::kind::OnLeaseLost;
use super::lease::Lease;
use super::part::Part;
use super::permits::Permit;
use super::reserve::Reservation;
use super::runnable::Runnable;
use super::runner::{self, Ran};
use super::teller::{Recorded, Teller};
use crate::clock::Clock as _;
use crate::draft::Draft;
use crate::executor::{Attempt, LeaseLost, Outcome};
use crate::headers::Headers;
use crate::payload::Payload;
use crate::task::{ClaimedTask, ErrorText, Task};
use crate::time::Timestamp;

/// Runs a born task here and waits until its outcome is recorded. None: it is not known to be recorded by this worker,
/// because the session ended, the task was taken away, or the worker stopped.
///
/// A dropped future drops the handler and hands the task back.
pub(crate) async fn run_inline(reservation: Reservation, born: ClaimedTask) -> Option<Recorded> {
    let (part, runnable, permit) = reservation.begin(born)?;
    let (teller, answer) = Teller::new();
    let mut running = Running {
        task: Arc::clone(&runnable.task),
        part,
        permit: Some(permit),
        ended: false,
    };
    runner::run_one(&running.part, runnable, Some(teller)).await;
    running.ended = true;
    // The permit is free while the store writes.
    drop(running);
    answer.await.ok()
}

/// A run in the caller's future. Dropped early it gives the task back; in any case its permit.
struct Running {
    part: Arc<Part>,
    task: Arc<Task>,
    permit: Option<Permit>,
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // With a checkpoint since, this is stale, and the heartbeat finds what is left.
            self.part.held.end(Hold::of(&self.task));
            self.part.hand_back(&self.task);
        }
        self.permit.take();
        runner::start_all(&self.part.engine);
        self.part.engine.permit_freed();
    }
}

/// How a task that is not stored was tried.
#[derive(Debug)]
pub(crate) struct Tried {
    ran: Ran,
    checkpoint: Option<Payload>,
}

impl Tried {
    /// What a success returned, and what it wants to enqueue; of any other end `self` again, which needs the task stored.
    pub(crate) fn success(mut self) -> Result<(Option<Payload>, Vec<Draft>), Self> {
        match self.ran.ended {
            Ended::Returned(Outcome::Done) => Ok((None, self.ran.follow_ups)),
            Ended::Returned(Outcome::Output(output)) => Ok((Some(output), self.ran.follow_ups)),
            ended => {
                self.ran.ended = ended;
                Err(self)
            }
        }
    }

    /// The end of a try whose caller went away.
    pub(crate) fn abandoned(reservation: &Reservation, started_at: Timestamp) -> Self {
        reservation.part().held.end(reservation.hold());
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
                started_at,
            },
            checkpoint: None,
        }
    }
}

/// Runs a task that is not stored, under the place that is kept for it. The end of the lease does not touch it, a shutdown
/// does.
pub(crate) async fn try_run(reservation: &mut Reservation, unborn: ClaimedTask) -> Tried {
    reservation.run_unborn();
    let part = reservation.part();
    let runnable = Runnable::new(unborn, &part.engine.setup);
    let version = runnable.task.version;
    let cancel = Cancel::default();
    let in_memory = Arc::new(InMemory {
        version,
        dry_run: part.engine.setup.dry_run,
        checkpoint: Mutex::default(),
    });
    // Not ours any more if the session has ended since; then only the shutdown's order is missed.
    let _ = part.held.start(
        reservation.hold(),
        &cancel,
        OnLeaseLost::Continue,
        part.clock.monotonic(),
    );
    let attempt = Arc::clone(&in_memory);
    let ran = runner::run_attempt(part, reservation.entry(), runnable, &cancel, attempt).await;
    part.held.end(reservation.hold());
    let checkpoint = in_memory.take();
    Tried { ran, checkpoint }
}

/// Records how a task was tried, now that it is born. None as in [`run_inline`].
pub(crate) async fn settle_tried(
    reservation: Reservation,
    born: ClaimedTask,
    tried: Tried,
) -> Option<Recorded> {
    let entry = Arc::clone(reservation.entry());
    let (part, runnable, permit) = reservation.begin(born)?;
    let hold = Hold::of(&runnable.task);
    let lease = Lease::new(Arc::clone(&part), runnable.task, Cancel::default());
    if let Some(checkpoint) = tried.checkpoint {
        // Without the lease the outcome is refused as well.
        let _ = Arc::clone(&lease).checkpoint(checkpoint).await;
    }
    let task = lease.settled_task().await;
    let judge = tried.ran.judge;
    let edit = tried.ran.report(&task, &entry).edit(&part);
    let (teller, answer) = Teller::new();
    match edit {
        Some(edit) => part.settle(hold, task, edit, judge, Some(teller)),
        None => part.hand_back_telling(&task, Some(teller)),
    }
    drop(permit);
    part.engine.permit_freed();
    answer.await.ok()
}

/// The lease of a task that is not stored: its progress is kept here.
#[derive(Debug)]
struct InMemory {
    version: u64,
    dry_run: bool,
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
        self.version
    }

    fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    async fn checkpoint(self: Arc<Self>, checkpoint: Payload) -> Result<(), LeaseLost> {
        let mut kept = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(checkpoint);
        Ok(())
    }
}

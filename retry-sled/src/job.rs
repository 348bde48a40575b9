//! A write on its way to the writer thread and back.

use retry_core::store::{Result, StoreError, StoreErrorKind};
use tokio::sync::oneshot;

use crate::draft::Draft;
use crate::effects::Effects;
use crate::error::Failure;
use crate::sessions::Orphans;

/// What a write may use.
pub(crate) struct Desk<'e, 'd> {
    pub(crate) draft: &'e mut Draft<'d>,
    pub(crate) effects: &'e mut Effects,
    pub(crate) orphans: &'e mut Orphans,
}

/// A write. It is run, its answer kept until the group's commit, then replied.
pub(crate) trait Job: Send {
    /// Roughly how much it writes.
    fn bytes(&self) -> usize;

    /// Nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// Does the work and keeps the answer. False: its changes are to be taken back.
    fn run(&mut self, desk: Desk<'_, '_>) -> bool;

    /// Replaces the answer.
    fn refuse(&mut self, error: StoreError);

    /// Gives the answer, or the failure of the commit.
    fn reply(self: Box<Self>, commit: std::result::Result<(), &Failure>);
}

/// A write of the store's own.
pub(crate) struct StoreJob<F, T> {
    bytes: usize,
    work: Option<F>,
    answer: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> StoreJob<F, T>
where
    F: FnOnce(Desk<'_, '_>) -> Result<T> + Send,
    T: Send,
{
    pub(crate) const fn new(bytes: usize, work: F, reply: oneshot::Sender<Result<T>>) -> Self {
        Self {
            bytes,
            work: Some(work),
            answer: None,
            reply,
        }
    }
}

impl<F, T> Job for StoreJob<F, T>
where
    F: FnOnce(Desk<'_, '_>) -> Result<T> + Send,
    T: Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, desk: Desk<'_, '_>) -> bool {
        let answer = self.work.take().map_or_else(|| Err(not_run()), |work| work(desk));
        let keep = answer.is_ok();
        self.answer = Some(answer);
        keep
    }

    fn refuse(&mut self, error: StoreError) {
        self.answer = Some(Err(error));
    }

    fn reply(self: Box<Self>, commit: std::result::Result<(), &Failure>) {
        let answer = match (self.answer, commit) {
            (Some(Ok(_)) | None, Err(failure)) => Err(StoreError::from(failure)),
            (Some(answer), _) => answer,
            (None, Ok(())) => Err(not_run()),
        };
        // The caller may be gone.
        let _ = self.reply.send(answer);
    }
}

/// The answer of a write that was never run.
pub(crate) fn not_run() -> StoreError {
    StoreError::rejected(StoreErrorKind::Unavailable, "the store is closed")
}

//! A write on its way to the writer thread and back.

use retry_core::store::{Result, StoreError, StoreErrorKind};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::effects::Effects;
use crate::error::Failure;
use crate::memo::Memo;

/// What a write may use. It must leave no transaction open: it runs in a savepoint of the group's.
pub(crate) struct Desk<'d> {
    pub(crate) conn: &'d mut Connection,
    pub(crate) memo: &'d mut Memo,
    pub(crate) effects: &'d mut Effects,
}

/// A write. It is run, its answer kept until the group's commit, then replied.
pub(crate) trait Job: Send {
    /// Roughly how much it writes.
    fn bytes(&self) -> usize;

    /// Nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// Does the work and keeps the answer. False: its writes are to be undone.
    fn run(&mut self, desk: Desk<'_>) -> bool;

    /// Whether it can be run again after its group was lost through no fault of its own.
    fn can_repeat(&self) -> bool;

    /// Replaces the answer.
    fn refuse(&mut self, error: StoreError);

    /// Gives the answer, or the failure of the commit.
    fn reply(self: Box<Self>, commit: std::result::Result<(), &Failure>);
}

/// A write of the store's own: borrows what it needs, so it can be run again.
pub(crate) struct StoreJob<F, T> {
    bytes: usize,
    work: F,
    answer: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> StoreJob<F, T>
where
    F: FnMut(Desk<'_>) -> Result<T> + Send,
    T: Send,
{
    pub(crate) fn new(bytes: usize, work: F, reply: oneshot::Sender<Result<T>>) -> Self {
        Self {
            bytes,
            work,
            answer: None,
            reply,
        }
    }
}

impl<F, T> Job for StoreJob<F, T>
where
    F: FnMut(Desk<'_>) -> Result<T> + Send,
    T: Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, desk: Desk<'_>) -> bool {
        let answer = (self.work)(desk);
        let keep = answer.is_ok();
        self.answer = Some(answer);
        keep
    }

    fn can_repeat(&self) -> bool {
        true
    }

    fn refuse(&mut self, error: StoreError) {
        self.answer = Some(Err(error));
    }

    fn reply(self: Box<Self>, commit: std::result::Result<(), &Failure>) {
        let answer = match (self.answer, commit) {
            (Some(Ok(_)), Err(failure)) => Err(StoreError::from(failure)),
            (Some(answer), _) => answer,
            (None, Err(failure)) => Err(StoreError::from(failure)),
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

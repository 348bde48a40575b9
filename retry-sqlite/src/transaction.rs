//! A user's own statements inside the writer's transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use retry_core::clock::{Clock, Monotonic};
use retry_core::store::{StoreError, StoreErrorKind};
use rusqlite::{Connection, Savepoint};
use tokio::sync::oneshot;

use crate::effects::Effects;
use crate::error::Failure;
use crate::group::panicked;
use crate::guard::Guard;
use crate::job::{Desk, Job, not_run};

/// The longest a closure given to [`SqliteStore::transaction`](crate::SqliteStore::transaction) may take: as long as it
/// runs, nothing else is written.
pub const TRANSACTION_LIMIT: Duration = Duration::from_secs(1);

/// Steps of SQLite's machine between two looks at the clock, some tens of microseconds.
const STEPS: i32 = 10_000;

/// What a transaction needs of its store.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) guard: Guard,
    pub(crate) clock: Arc<dyn Clock>,
    /// The effects of tasks that the closure enqueues.
    pub(crate) enlisted: Arc<Mutex<Effects>>,
    pub(crate) file: String,
}

pub(crate) struct TransactionJob<F, T, E> {
    pub(crate) work: Option<F>,
    pub(crate) answer: Option<Result<T, E>>,
    /// Why the store refused it, instead of an answer.
    pub(crate) refused: Option<StoreError>,
    pub(crate) reply: oneshot::Sender<Result<T, E>>,
    pub(crate) around: Surroundings,
}

impl<F, T, E> TransactionJob<F, T, E>
where
    F: FnOnce(&Savepoint<'_>) -> Result<T, E> + Send,
    E: From<StoreError>,
{
    /// Runs the closure in a savepoint; the savepoint is kept only if all went well.
    fn attempt(&self, work: F, conn: &mut Connection) -> Result<T, E> {
        let sqlite = |error: rusqlite::Error| {
            let message = format!(
                "{}: the transaction could not be begun or ended",
                self.around.file
            );
            E::from(StoreError::rejected(StoreErrorKind::Other, message).with_source(error))
        };
        let savepoint = conn.savepoint_with_name("retry_user").map_err(sqlite)?;
        let deadline = self.around.clock.monotonic() + TRANSACTION_LIMIT;
        self.around.guard.switch(true);
        let result = catch_unwind(AssertUnwindSafe(|| work(&savepoint)));
        self.around.guard.switch(false);
        let value = match result {
            Err(panic) => return Err(E::from(panicked(panic.as_ref()))),
            Ok(_) if self.around.clock.monotonic() > deadline => return Err(E::from(self.too_long())),
            Ok(result) => result?,
        };
        if savepoint.is_autocommit() {
            return Err(E::from(self.gone()));
        }
        savepoint.commit().map_err(sqlite)?;
        Ok(value)
    }

    fn too_long(&self) -> StoreError {
        let message = format!(
            "{}: the transaction took longer than {TRANSACTION_LIMIT:?} and was rolled back; do slow work before it",
            self.around.file
        );
        StoreError::invalid(message)
    }

    fn gone(&self) -> StoreError {
        let message = format!(
            "{}: SQLite rolled the transaction back after an error inside it",
            self.around.file
        );
        StoreError::rejected(StoreErrorKind::Other, message)
    }
}

impl<F, T, E> Job for TransactionJob<F, T, E>
where
    F: FnOnce(&Savepoint<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn bytes(&self) -> usize {
        0
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, desk: Desk<'_>) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let limit = self.around.clock.monotonic() + TRANSACTION_LIMIT;
        // Without the limit a slow closure only delays others; its answer is late all the same.
        let _ = desk
            .conn
            .progress_handler(STEPS, Some(over(&self.around.clock, limit)));
        let answer = self.attempt(work, desk.conn);
        let _ = desk.conn.progress_handler(0, None::<fn() -> bool>);
        let mut enlisted = self
            .around
            .enlisted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let effects = std::mem::take(&mut *enlisted);
        let keep = answer.is_ok();
        if keep {
            desk.effects.merge(effects);
        }
        self.answer = Some(answer);
        keep
    }

    fn can_repeat(&self) -> bool {
        false
    }

    fn refuse(&mut self, error: StoreError) {
        self.refused = Some(error);
    }

    fn reply(self: Box<Self>, commit: Result<(), &Failure>) {
        if let Some(error) = self.refused {
            let _ = self.reply.send(Err(E::from(error)));
            return;
        }
        let answer = match (self.answer, commit) {
            (Some(Ok(_)) | None, Err(failure)) => Err(E::from(StoreError::from(failure))),
            (Some(answer), _) => answer,
            (None, Ok(())) => Err(E::from(not_run())),
        };
        // The caller may be gone.
        let _ = self.reply.send(answer);
    }
}

fn over(clock: &Arc<dyn Clock>, deadline: Monotonic) -> impl FnMut() -> bool + Send + 'static {
    let clock = Arc::clone(clock);
    move || clock.monotonic() > deadline
}

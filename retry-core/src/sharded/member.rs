//! One part of a sharded store, and the guarded way to call it.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};

use super::breaker::{Breaker, PartState, Pass, Turn};
use crate::clock::Clock;
use crate::limits::PART_TIME_LIMIT;
use crate::meters;
use crate::store::{Result, StoreError, StoreErrorKind, TaskStore};
use crate::time::Timestamp;

/// How a part answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PartHealth {
    /// Its name.
    pub name: String,
    /// Whether it is called.
    pub state: PartState,
    /// Calls in a row that it did not answer.
    pub failures: u32,
    /// The last of those failures.
    pub last_failure: Option<StoreError>,
}

pub(super) struct Member {
    pub(super) name: String,
    pub(super) store: Arc<dyn TaskStore>,
    clock: Arc<dyn Clock>,
    limit: Duration,
    breaker: Breaker,
    last_failure: Mutex<Option<StoreError>>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What is known about a call that has had no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It changes nothing.
    Read,
    /// It may have been written.
    Write,
}

impl Member {
    pub(super) fn new(
        name: String,
        store: Arc<dyn TaskStore>,
        clock: Arc<dyn Clock>,
        limit: Duration,
    ) -> Self {
        Self {
            name,
            store,
            clock,
            limit,
            breaker: Breaker::default(),
            last_failure: Mutex::default(),
        }
    }

    pub(super) fn health(&self) -> PartHealth {
        let (state, failures) = self.breaker.look(self.clock.monotonic());
        let last_failure = self.last_failure().clone();
        PartHealth {
            name: self.name.clone(),
            state,
            failures,
            last_failure: last_failure.filter(|_| failures > 0),
        }
    }

    fn last_failure(&self) -> std::sync::MutexGuard<'_, Option<StoreError>> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call if the part is to be called, and waits for it no longer than the limit.
    pub(super) async fn call<T>(
        &self,
        unanswered: Unanswered,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.guarded(Some(self.limit), unanswered, call).await
    }

    /// What time it is there.
    pub(super) async fn time(&self) -> Result<Timestamp> {
        let limit = self.limit.min(PART_TIME_LIMIT);
        self.guarded(Some(limit), Unanswered::Read, self.store.time())
            .await
    }

    /// The same for a call that takes as long as it takes.
    pub(super) async fn long_call<T>(
        &self,
        unanswered: Unanswered,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.guarded(None, unanswered, call).await
    }

    async fn guarded<T>(
        &self,
        limit: Option<Duration>,
        unanswered: Unanswered,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let mut pass = self.pass()?;
        if pass.tries() {
            pass = self.tried(pass, limit).await?;
        }
        let answer = self.within(limit, unanswered, call).await;
        self.judge(pass, answer.as_ref().err());
        answer
    }

    fn pass(&self) -> Result<Pass<'_>> {
        let pass = self.breaker.pass(self.clock.monotonic());
        pass.ok_or_else(|| self.not_called())
    }

    /// Tries an open part by a reading of its clock, before a call that may be waited for longer, or be written by a part that
    /// does not say so. The call is still the try, of a part that tells its time and does nothing else; but for one that takes
    /// as long as it takes, and would keep all others out meanwhile.
    async fn tried<'p>(&'p self, pass: Pass<'p>, limit: Option<Duration>) -> Result<Pass<'p>> {
        let reading = self.limit.min(PART_TIME_LIMIT);
        let told = self.within(Some(reading), Unanswered::Read, self.store.time());
        match told.await {
            Err(error) if is_no_answer(&error) => {
                self.judge(pass, Some(&error));
                Err(error)
            }
            _ if limit.is_some() => Ok(pass),
            _ => {
                self.judge(pass, None);
                self.pass()
            }
        }
    }

    /// What a call's answer says about the part.
    fn judge(&self, pass: Pass<'_>, error: Option<&StoreError>) {
        let turn = match error {
            Some(error) if is_no_answer(error) => {
                let turn = pass.failed(self.clock.monotonic());
                *self.last_failure() = Some(error.clone());
                turn
            }
            _ => pass.answered(),
        };
        match turn {
            Turn::None => {}
            Turn::Opened => {
                let error = error.map(ToString::to_string);
                tracing::warn!(
                    part = self.name,
                    error,
                    "the part does not answer; it is not called for a while"
                );
                meters::part_open(&self.name, true);
            }
            Turn::Closed => {
                tracing::info!(part = self.name, "the part answers again");
                meters::part_open(&self.name, false);
            }
        }
    }

    async fn within<T>(
        &self,
        limit: Option<Duration>,
        unanswered: Unanswered,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let call = AssertUnwindSafe(call).catch_unwind();
        let failed = |kind, what: fmt::Arguments<'_>| {
            let message = format!("part {:?} of the store {what}", self.name);
            Err(match unanswered {
                Unanswered::Read => StoreError::rejected(kind, message),
                Unanswered::Write => StoreError::unknown(kind, message),
            })
        };
        let answer = match limit {
            None => call.await,
            Some(limit) => {
                let over = self.clock.sleep_until(self.clock.monotonic() + limit);
                match select(pin!(call), over).await {
                    Either::Left((answer, _)) => answer,
                    Either::Right(((), _)) => {
                        let what = format_args!("gave no answer within {limit:?}");
                        return failed(StoreErrorKind::Unavailable, what);
                    }
                }
            }
        };
        // Its neighbours' answers must not go down with it.
        answer.unwrap_or_else(|_| failed(StoreErrorKind::Other, format_args!("panicked in its driver")))
    }

    fn not_called(&self) -> StoreError {
        let health = self.health();
        let message = format!(
            "part {:?} of the store did not answer {} times in a row and is not called now",
            self.name, health.failures
        );
        let error = StoreError::rejected(StoreErrorKind::Unavailable, message);
        match health.last_failure {
            Some(last) => error.with_source(last),
            None => error,
        }
    }
}

/// Whether the part itself said nothing. One that is busy, full or refuses what it was asked does answer.
fn is_no_answer(error: &StoreError) -> bool {
    error.kind() == StoreErrorKind::Unavailable
}

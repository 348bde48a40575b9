//! One call made again until it is answered, with growing pauses, and not for ever.

use std::time::Duration;

use retry_core::clock::{Clock, Monotonic};
use retry_core::store::{Certainty, Result, StoreError};

use super::Plan;
use super::ledger::Ledger;
use crate::verdict::{Failure, Verdict};

/// Far more than a server takes to come back on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// The pauses between two tries: the first, doubled until the last. Each is drawn between half of itself and itself.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(4));

/// The tries of one call.
pub(super) struct Tries<'c> {
    what: &'static str,
    plan: &'c Plan,
    ledger: &'c Ledger,
    start: Monotonic,
    pause: Duration,
    /// One of them may have been done.
    pub(super) is_unknown: bool,
}

impl<'c> Tries<'c> {
    pub(super) fn new(what: &'static str, plan: &'c Plan, ledger: &'c Ledger) -> Self {
        Self {
            what,
            plan,
            ledger,
            start: plan.clock.monotonic(),
            pause: PAUSES.0,
            is_unknown: false,
        }
    }

    /// Makes the call once and notes how it ended.
    pub(super) async fn once<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let clock: &dyn Clock = &*self.plan.clock;
        let sent = clock.monotonic();
        let answer = call.await;
        let took = clock.monotonic().saturating_since(sent);
        match &answer {
            Ok(_) => self.ledger.note_answer(took),
            Err(error) => self.ledger.note_failure(error, took),
        }
        answer
    }

    /// Waits for the next try; fails if the error must not be, or there were enough.
    pub(super) async fn after(&mut self, error: StoreError, random: u64) -> Verdict {
        let allowed = "an error that passes, and an answer in the end";
        if !(self.plan.allowed)(&error) {
            let mut failure = Failure::call(self.what, &error);
            failure.allowed = allowed.to_owned();
            return Err(failure);
        }
        self.is_unknown |= error.certainty() == Certainty::Unknown;
        let clock: &dyn Clock = &*self.plan.clock;
        let now = clock.monotonic();
        if now.saturating_since(self.start) > PATIENCE {
            let given = format!("failures for {PATIENCE:?}, the last one: {error}");
            return Err(Failure::new("", self.what, given, allowed));
        }
        let half = self.pause / 2;
        let share = u32::try_from(random % 1_000).unwrap_or_default();
        clock.sleep_until(now + half + half * share / 1_000).await;
        self.pause = (self.pause * 2).min(PAUSES.1);
        Ok(())
    }

    /// Makes the call until it is answered.
    pub(super) async fn all<T, F>(&mut self, random: impl Fn() -> u64, call: impl Fn() -> F) -> Verdict<T>
    where
        F: Future<Output = Result<T>>,
    {
        loop {
            match self.once(call()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.after(error, random()).await?,
            }
        }
    }
}

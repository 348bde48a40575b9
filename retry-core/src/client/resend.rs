//! Sends again what may or may not have been written; repeating converges (law 10).

use std::time::Duration;

use crate::clock::Clock;
use crate::store::{self, Applied, Certainty, Inserted, StoreError, StoreErrorKind, TaskStore};
use crate::task::NewTask;

/// How often a call with an unknown outcome is sent again before its error is handed on.
const RESENDS: u32 = 3;

/// Sends `call` again while its outcome is unknown, with growing pauses.
pub(super) async fn resend<T, F>(clock: &dyn Clock, mut call: impl FnMut() -> F) -> store::Result<T>
where
    T: MayBeUntried,
    F: Future<Output = store::Result<T>>,
{
    let mut tries = Tries::new(clock);
    loop {
        let error = match call().await {
            // A part that did nothing this time may have done it the first time.
            Ok(answer) if tries.unknown && answer.is_untried() => not_tried(),
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        tries.after(error).await?;
    }
}

/// Inserts tasks, sending those again whose outcome is unknown. A task that was answered for is not sent again, whatever
/// became of its neighbours on other parts of a sharded store: it may have replaced one that has ended since, and would be
/// stored once more.
pub(super) async fn insert(
    store: &dyn TaskStore,
    clock: &dyn Clock,
    tasks: &[NewTask],
) -> store::Result<Vec<Inserted>> {
    let mut tries = Tries::new(clock);
    let mut answers = Vec::new();
    loop {
        let error = match insert_open(store, clock, tasks, &mut answers).await {
            Ok(()) if tries.unknown && answers.is_untried() => not_tried(),
            Ok(()) => return Ok(answers),
            Err(error) => error,
        };
        tries.after(error).await?;
    }
}

/// Sends the tasks that have no answer yet, and notes their answers.
async fn insert_open(
    store: &dyn TaskStore,
    clock: &dyn Clock,
    tasks: &[NewTask],
    answers: &mut Vec<Inserted>,
) -> store::Result<()> {
    if answers.is_empty() {
        *answers = for_each(tasks, store.insert(tasks, clock.now()).await?)?;
        return Ok(());
    }
    let untried = |(place, answer): (usize, &Inserted)| (*answer == Inserted::NotTried).then_some(place);
    let places: Vec<_> = answers.iter().enumerate().filter_map(untried).collect();
    let open: Vec<_> = places.iter().map(|&place| tasks[place].clone()).collect();
    let later = for_each(&open, store.insert(&open, clock.now()).await?)?;
    for (place, answer) in places.into_iter().zip(later) {
        answers[place] = answer;
    }
    Ok(())
}

fn for_each(tasks: &[NewTask], answers: Vec<Inserted>) -> store::Result<Vec<Inserted>> {
    if answers.len() == tasks.len() {
        return Ok(answers);
    }
    let message = "the store did not answer for every task";
    Err(StoreError::unknown(StoreErrorKind::Other, message))
}

/// The sendings of one call.
struct Tries<'c> {
    clock: &'c dyn Clock,
    sent: u32,
    pause: Duration,
    /// The outcome of one was unknown. A later refusal does not make it known: the first may have been written.
    unknown: bool,
}

impl<'c> Tries<'c> {
    const fn new(clock: &'c dyn Clock) -> Self {
        Self {
            clock,
            sent: 0,
            pause: Duration::from_millis(50),
            unknown: false,
        }
    }

    /// Waits for the next sending after one that failed, or hands the error on.
    async fn after(&mut self, error: StoreError) -> store::Result<()> {
        self.unknown |= error.certainty() == Certainty::Unknown;
        if !self.unknown || !error.is_retryable() || self.sent == RESENDS {
            return Err(if self.unknown { error.into_unknown() } else { error });
        }
        tracing::debug!(%error, "sent again: the outcome is unknown");
        self.clock.sleep_until(self.clock.monotonic() + self.pause).await;
        self.sent += 1;
        self.pause *= 4;
        Ok(())
    }
}

/// An answer that may say that a part of a sharded store certainly did nothing.
pub(super) trait MayBeUntried {
    fn is_untried(&self) -> bool;
}

impl MayBeUntried for () {
    fn is_untried(&self) -> bool {
        false
    }
}

impl MayBeUntried for Applied {
    fn is_untried(&self) -> bool {
        *self == Self::NotTried
    }
}

impl MayBeUntried for Vec<Applied> {
    fn is_untried(&self) -> bool {
        self.contains(&Applied::NotTried)
    }
}

impl MayBeUntried for Vec<Inserted> {
    fn is_untried(&self) -> bool {
        self.contains(&Inserted::NotTried)
    }
}

/// The part of a sharded store that was needed did not answer.
pub(super) fn not_tried() -> StoreError {
    StoreError::rejected(
        StoreErrorKind::Unavailable,
        "the part of the store that holds the task did not answer",
    )
}

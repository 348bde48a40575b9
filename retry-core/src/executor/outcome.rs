//! What a handler may answer.

use std::time::Duration;

use serde::Serialize;

use crate::draft::{Draft, InvalidTask};
use crate::payload::Payload;

/// How an attempt ended without an error. `()` is [`Outcome::Done`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outcome {
    /// The work is done.
    Done,
    /// The work is done and this is kept as its output.
    Output(Payload),
    /// Not now: run it again after this long. Not an error, and the attempt does not count.
    Snooze(Duration),
    /// Unfinished: keep the progress and run it again after this long. The attempt does not count.
    Continue(Payload, Duration),
    /// Never again: the task fails with this reason.
    Stop(String),
    /// Wait for a completion by token, this long at most.
    Wait(Duration),
    /// Insert these children and run the next step when all have ended. At most 1,000; more are for
    /// [`Ctx::split`](crate::executor::Ctx::split).
    Split(Vec<Draft>),
}

impl Outcome {
    /// Done, with an output.
    ///
    /// # Errors
    /// The value does not serialize or is too large.
    pub fn output<T: Serialize + ?Sized>(value: &T) -> Result<Self, InvalidTask> {
        Ok(Self::Output(Payload::encode(value)?))
    }

    /// Unfinished, with progress that the next attempt finds in its context.
    ///
    /// # Errors
    /// The value does not serialize or is too large.
    pub fn continue_after<T: Serialize + ?Sized>(progress: &T, after: Duration) -> Result<Self, InvalidTask> {
        Ok(Self::Continue(Payload::encode(progress)?, after))
    }

    /// Split into children.
    #[must_use]
    pub fn split<D: Into<Draft>>(children: impl IntoIterator<Item = D>) -> Self {
        Self::Split(children.into_iter().map(Into::into).collect())
    }
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Done
    }
}

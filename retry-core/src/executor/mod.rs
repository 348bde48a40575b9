//! What runs one claimed task: the [`Executor`] seam, and typed async functions as its ordinary form.

mod ctx;
mod error;
mod extract;
mod handler;
mod outcome;
mod progress;
mod stored;

use futures_util::future::BoxFuture;

pub(crate) use ctx::{Attempt, Carried, LastChunk, PassedOver, SplitEnd};
pub use ctx::{CheckpointError, Ctx, LeaseLost, States};
pub use error::{Final, HandlerError};
pub use extract::{FromCtx, Requirement, State};
pub use handler::{Handler, typed};
pub use outcome::Outcome;
pub(crate) use progress::{Known, NotWritten, Progress};
pub(crate) use stored::{SplitState, Stored};

use crate::payload::Payload;

/// Runs one claimed task: a typed function, a subprocess, an HTTP call.
///
/// The future is dropped when the attempt has been cancelled and its grace is over, so it must be cancel-safe in the
/// sense that a later attempt can repeat the work. A panic is caught and counts as a failed attempt.
pub trait Executor: Send + Sync + 'static {
    /// Runs the task.
    fn execute(&self, payload: Payload, ctx: Ctx) -> BoxFuture<'static, Result<Outcome, HandlerError>>;

    /// The shared states it needs; a worker without one of them is refused.
    fn requires(&self) -> Vec<Requirement> {
        Vec::new()
    }
}

#[cfg(test)]
fn _object_safe(_: &dyn Executor) {}

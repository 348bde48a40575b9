//! What a client answers when it cannot do as asked.

use std::error::Error as StdError;
use std::fmt;

use crate::draft::InvalidTask;
use crate::id::TaskId;
use crate::machine::Rejected;
use crate::name::Kind;
use crate::store::StoreError;
use crate::task::TaskDetail;

/// A client's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a client's call failed. Nothing was written, but for two cases: [`Error::Store`] with
/// an unknown outcome, and [`Error::Changed`] after one, when the task went on meanwhile.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The task is invalid.
    Invalid(InvalidTask),
    /// There is no such task, or the wait token is wrong.
    NotFound(TaskId),
    /// The task's state does not allow it.
    Rejected(Rejected),
    /// The task changed while it was being edited; this is what it is now.
    Changed(Box<TaskDetail>),
    /// The rerun's unique key is held by this task.
    KeyTaken(TaskId),
    /// The wait was completed before.
    AlreadyDone,
    /// The worker has no handler for tasks of this kind.
    NoHandler(Kind),
    /// The client is not attached to a running worker, which alone can run a task here.
    NotAttached,
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => write!(f, "the task is invalid: {error}"),
            Self::NotFound(id) => write!(f, "there is no task {id}, or the token is not its own"),
            Self::Rejected(why) => write!(f, "not possible now: {why}"),
            Self::Changed(detail) => write!(f, "the task changed meanwhile; it is {} now", detail.task.state),
            Self::KeyTaken(holder) => write!(f, "its unique key is held by task {holder}"),
            Self::NoHandler(kind) => write!(f, "the worker has no handler for {kind}"),
            Self::AlreadyDone => f.write_str("the wait was completed before"),
            Self::NotAttached => {
                f.write_str("the client is not attached to a running worker: use `client.attach(&handle)`")
            }
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Invalid(error) => error.source(),
            Self::Rejected(why) => Some(why),
            Self::Store(error) => error.source(),
            Self::NotFound(_)
            | Self::Changed(_)
            | Self::KeyTaken(_)
            | Self::NoHandler(_)
            | Self::AlreadyDone
            | Self::NotAttached => None,
        }
    }
}

impl From<InvalidTask> for Error {
    fn from(error: InvalidTask) -> Self {
        Self::Invalid(error)
    }
}

impl From<Rejected> for Error {
    fn from(why: Rejected) -> Self {
        Self::Rejected(why)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

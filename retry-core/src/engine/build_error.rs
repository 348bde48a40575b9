//! Why a worker cannot be built.

use std::fmt;
use std::time::Duration;

use crate::alert::InvalidRule;
use crate::name::{InvalidName, Kind, Queue};

/// Why a worker cannot be built.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// No handler is registered.
    NoHandlers,
    /// Two handlers for one kind.
    DuplicateKind(Kind),
    /// A handler takes `State<T>` of a type that was not given.
    MissingState {
        /// The handler's kind.
        kind: Kind,
        /// The type.
        state: &'static str,
    },
    /// A name is invalid.
    Name {
        /// Which one.
        what: &'static str,
        /// What was given.
        given: String,
        /// The rule it breaks.
        error: InvalidName,
    },
    /// A setting must be more than zero.
    Zero(&'static str),
    /// The lease is too short to be kept.
    LeaseTooShort {
        /// What was given.
        given: Duration,
        /// What is allowed.
        least: Duration,
    },
    /// A number is beyond its bound.
    TooMany {
        /// Which one.
        what: &'static str,
        /// What was given.
        given: usize,
        /// What is allowed.
        most: usize,
    },
    /// A time is longer than another setting, or a bound, allows.
    TooLong {
        /// Which one.
        what: &'static str,
        /// What was given.
        given: Duration,
        /// What it must not exceed.
        bound: &'static str,
        /// How long that is.
        most: Duration,
    },
    /// The list of queues is empty: the worker would claim nothing.
    NoQueues,
    /// A queue has a limit, but the worker does not claim from it.
    UnclaimedQueue {
        /// The queue.
        queue: Queue,
        /// Those it claims from.
        claimed: Vec<Queue>,
    },
    /// No task can be due in the scan window: it ends before it begins.
    EmptyWindow,
    /// A setting that a file or the environment gave.
    Setting {
        /// The file and the key, or the environment and the variable.
        origin: String,
        /// What is wrong with it.
        error: Box<Self>,
    },
    /// An alert rule cannot be read.
    AlertRule {
        /// The kind whose rule it is; none for a rule of the worker.
        kind: Option<Kind>,
        /// What is wrong with it, and where.
        error: InvalidRule,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHandlers => f.write_str("a worker needs at least one handler: call .handler(…)"),
            Self::DuplicateKind(kind) => write!(f, "the kind {kind} has two handlers"),
            Self::MissingState { kind, state } => {
                write!(
                    f,
                    "the handler of {kind} takes State<{state}>: give it with .state(…)"
                )
            }
            Self::Name { what, given, error } => write!(f, "invalid {what} {given:?}: {error}"),
            Self::Zero(what) => write!(f, "{what} must be more than zero"),
            Self::LeaseTooShort { given, least } => {
                write!(f, "a lease of {given:?} is too short, at least {least:?}")
            }
            Self::TooMany { what, given, most } => {
                write!(f, "{what} of {given} is too large, at most {most}")
            }
            Self::TooLong {
                what,
                given,
                bound,
                most,
            } => write!(f, "{what} of {given:?} is longer than {bound} of {most:?}"),
            Self::UnclaimedQueue { queue, claimed } => {
                let claimed: Vec<_> = claimed.iter().map(Queue::as_str).collect();
                write!(
                    f,
                    "the queue {queue} has a limit, but the worker claims from {} only",
                    claimed.join(", ")
                )
            }
            Self::NoQueues => f.write_str(
                "the list of queues is empty; name one, or leave it out to claim from the queues of the kinds",
            ),
            Self::Setting { origin, error } => write!(f, "{origin}: {error}"),
            Self::EmptyWindow => f.write_str("the scan window ends before it begins"),
            Self::AlertRule { kind: None, error } => write!(f, "{error}"),
            Self::AlertRule {
                kind: Some(kind),
                error,
            } => write!(f, "the kind {kind}: {error}"),
        }
    }
}

impl std::error::Error for BuildError {}

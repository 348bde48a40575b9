//! What a retry policy refuses to be.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a [`Backoff`](super::Backoff) or a [`RetryPolicy`](super::RetryPolicy) could not be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// A list of delays without a single delay.
    EmptyList,
    /// An exponential sequence whose factor is zero.
    ZeroFactor,
    /// A limit of zero attempts: a task that may never run.
    ZeroAttempts,
    /// A give-up time of zero. To run a task once, allow one attempt.
    ZeroGiveUp,
    /// A minimum delay above the cap of the backoff, so that no delay satisfies both.
    MinDelayAboveCap {
        /// The minimum delay asked for.
        min_delay: Duration,
        /// The cap of the backoff.
        cap: Duration,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyList => f.write_str("a list of delays needs at least one delay"),
            Self::ZeroFactor => f.write_str("the factor of an exponential backoff must be at least 1"),
            Self::ZeroAttempts => f.write_str("a task needs at least one attempt"),
            Self::ZeroGiveUp => f.write_str("the give-up time must be longer than zero"),
            Self::MinDelayAboveCap { min_delay, cap } => {
                write!(
                    f,
                    "the minimum delay {min_delay:?} is above the backoff's cap {cap:?}"
                )
            }
        }
    }
}

impl Error for PolicyError {}

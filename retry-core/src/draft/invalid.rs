//! Why a task was refused before anything was written.

use std::error::Error;
use std::fmt;

use crate::headers::InvalidHeader;
use crate::name::InvalidName;
use crate::payload::InvalidPayload;

/// What is invalid about a task.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum InvalidTask {
    /// A kind, queue or unique key.
    Name {
        /// Which one.
        what: &'static str,
        /// What was given, shortened.
        given: String,
        /// The rule it breaks.
        error: InvalidName,
    },
    /// The payload.
    Payload(std::sync::Arc<InvalidPayload>),
    /// A header.
    Header(InvalidHeader),
    /// An option that must be positive is zero.
    Zero(&'static str),
    /// Its keys belong to another part of the sharded store than this one, to which the client is bound.
    OtherPart(String),
    /// A split has more children than one write takes.
    TooManyChildren {
        /// How many it has.
        given: usize,
        /// How many are allowed.
        limit: usize,
    },
}

impl InvalidTask {
    pub(crate) fn name(what: &'static str, given: &str, error: InvalidName) -> Self {
        let mut shown: String = given.chars().take(40).collect();
        if shown.len() < given.len() {
            shown.push('…');
        }
        Self::Name {
            what,
            given: shown,
            error,
        }
    }
}

impl From<InvalidPayload> for InvalidTask {
    fn from(error: InvalidPayload) -> Self {
        Self::Payload(std::sync::Arc::new(error))
    }
}

impl From<InvalidHeader> for InvalidTask {
    fn from(error: InvalidHeader) -> Self {
        Self::Header(error)
    }
}

impl fmt::Display for InvalidTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { what, given, error } => write!(f, "invalid {what} {given:?}: {error}"),
            Self::Payload(error) => write!(f, "{error}"),
            Self::Header(error) => write!(f, "{error}"),
            Self::Zero(what) => write!(f, "{what} must be more than zero"),
            Self::OtherPart(own) => write!(f, "its keys belong to another part of the store than {own:?}"),
            Self::TooManyChildren { given, limit } => {
                write!(
                    f,
                    "a split of {given} children, at most {limit} are allowed in one write"
                )
            }
        }
    }
}

impl Error for InvalidTask {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Payload(error) => error.source(),
            Self::Name { .. }
            | Self::Header(_)
            | Self::Zero(_)
            | Self::OtherPart(_)
            | Self::TooManyChildren { .. } => None,
        }
    }
}

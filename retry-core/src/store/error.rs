//! What can go wrong in a store, classified once per store by what the caller can do about it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// A store's result.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A failed store call: what kind of failure, whether the write may have happened, and the cause.
#[derive(Debug, Clone)]
pub struct StoreError {
    certainty: Certainty,
    kind: StoreErrorKind,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// Whether the call changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// Certainly nothing was written.
    Rejected,
    /// It may have been written, or may yet be. Repeating the call converges (law 10).
    Unknown,
}

/// Kinds of failure; each is a different thing for the caller to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached: wait and repeat.
    Unavailable,
    /// The store is reachable but contended: repeat soon.
    Busy,
    /// There is no space left: free some; the store goes on by itself.
    Full,
    /// The store refuses writes.
    ReadOnly,
    /// Stored data is damaged.
    Corrupt,
    /// The schema is missing, newer than this program, or not the store's.
    Schema,
    /// The request breaks a bound or rule; repeating it is useless.
    Invalid,
    /// Anything else.
    Other,
}

impl StoreError {
    /// A failure in which certainly nothing was written.
    pub fn rejected(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            certainty: Certainty::Rejected,
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// A failure after which the write may or may not have happened.
    pub fn unknown(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            certainty: Certainty::Unknown,
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// A request that breaks a bound or rule.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::rejected(StoreErrorKind::Invalid, message)
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The same failure of a call that may have been written by an earlier sending.
    #[must_use]
    pub const fn into_unknown(mut self) -> Self {
        self.certainty = Certainty::Unknown;
        self
    }

    /// Whether the call changed anything.
    #[must_use]
    pub const fn certainty(&self) -> Certainty {
        self.certainty
    }

    /// The kind of failure.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether others were in the way, and certainly nothing was written.
    pub(crate) fn is_contention(&self) -> bool {
        self.kind == StoreErrorKind::Busy && self.certainty == Certainty::Rejected
    }

    /// Whether the same call may succeed later without anybody changing the request.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(
            self.kind,
            StoreErrorKind::Invalid | StoreErrorKind::Schema | StoreErrorKind::Corrupt
        )
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.certainty == Certainty::Unknown {
            f.write_str(" (the write may have happened)")?;
        }
        Ok(())
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

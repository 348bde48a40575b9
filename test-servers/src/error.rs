//! Why there is no server.

use std::fmt;

use crate::kind::Kind;

/// Why a server did not start or stop.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The kind's programs are not installed.
    Missing {
        /// The kind that was asked for.
        kind: Kind,
        /// The program that was not found.
        program: &'static str,
    },
    /// A step failed; the text says which, and what the program printed.
    Failed(String),
}

impl Error {
    pub(crate) fn failed(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Failed(format!("{what}: {why}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { kind, program } => write!(
                f,
                "no {kind}: `{program}` is not installed; {}",
                crate::install_hint(*kind)
            ),
            Self::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

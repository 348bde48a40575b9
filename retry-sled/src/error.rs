//! What sled's errors and panics mean to a caller: sorted once, here, into kinds, each with the directory and the remedy.

use std::any::Any;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use retry_core::store::{Certainty, StoreError, StoreErrorKind};

/// A failure inside a call: the driver's, the system's, or one that is worded already.
#[derive(Debug)]
pub(crate) enum Fault {
    Sled(sled::Error),
    /// sled shows damage of its files as a panic.
    Panic(String),
    Io(io::Error),
    Store(StoreError),
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(crate) type Outcome<T> = Result<T, Fault>;

/// When an error came: only a failed commit may have written something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During {
    /// Opening the directory, a read, or a write before its commit.
    Call,
    /// The commit itself.
    Commit,
}

/// A panic of sled, as the cause of an error.
#[derive(Debug)]
pub(crate) struct SledPanicked(String);

impl fmt::Display for SledPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sled panicked: {}", self.0)
    }
}

impl std::error::Error for SledPanicked {}

/// A failure that can be told to several callers.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    certainty: Certainty,
    kind: StoreErrorKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl From<&Failure> for StoreError {
    fn from(failure: &Failure) -> Self {
        let error = match failure.certainty {
            Certainty::Rejected => Self::rejected(failure.kind, failure.message.clone()),
            Certainty::Unknown => Self::unknown(failure.kind, failure.message.clone()),
        };
        match &failure.source {
            Some(source) => error.with_source(Arc::clone(source)),
            None => error,
        }
    }
}

/// Sorts a fault.
pub(crate) fn classify(fault: Fault, during: During, dir: &Path) -> Failure {
    let (kind, remedy) = match &fault {
        Fault::Store(error) => (error.kind(), None),
        Fault::Panic(_)
        | Fault::Sled(sled::Error::Corruption { .. } | sled::Error::CollectionNotFound(_)) => {
            (StoreErrorKind::Corrupt, Some(DAMAGED))
        }
        Fault::Sled(sled::Error::ReportableBug(_)) => (
            StoreErrorKind::Other,
            Some("sled met a state that it does not know; open the store again"),
        ),
        Fault::Sled(sled::Error::Unsupported(_)) => (
            StoreErrorKind::Schema,
            Some("the directory was not written by this version of sled; choose another directory"),
        ),
        Fault::Sled(sled::Error::Io(error)) | Fault::Io(error) => io_kind(error),
    };
    let message = match (&fault, remedy) {
        (Fault::Store(error), _) => error.to_string(),
        (_, Some(remedy)) => format!("{}: {remedy}", dir.display()),
        (_, None) => dir.display().to_string(),
    };
    let certainty = match (&fault, during) {
        (Fault::Store(error), _) => error.certainty(),
        (_, During::Call) => Certainty::Rejected,
        (_, During::Commit) => Certainty::Unknown,
    };
    Failure {
        certainty,
        kind,
        message,
        source: source(fault),
    }
}

/// Words a fault for the caller.
pub(crate) fn store_error(fault: Fault, during: During, dir: &Path) -> StoreError {
    match fault {
        Fault::Store(error) => error,
        fault => StoreError::from(&classify(fault, during, dir)),
    }
}

const DAMAGED: &str = "the files of the store are damaged; stop the program, save a copy of the directory, and \
                       restore a backup, or an export with `SledBuilder::import`";

fn io_kind(error: &io::Error) -> (StoreErrorKind, Option<&'static str>) {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => (
            StoreErrorKind::Full,
            Some("the disk is full; free some space, the store goes on by itself"),
        ),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => (
            StoreErrorKind::ReadOnly,
            Some("this user may not write to the directory and the files in it; allow it"),
        ),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (
            StoreErrorKind::Unavailable,
            Some("the directory cannot be opened; check that its parent exists and that it is a directory"),
        ),
        // Where sled reads less than it wrote, or what it did not write.
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => (StoreErrorKind::Corrupt, Some(DAMAGED)),
        // sled passes some errors on as texts.
        _ if error.to_string().contains("StorageFull") => (
            StoreErrorKind::Full,
            Some("the disk is full; free some space, the store goes on by itself"),
        ),
        _ => (
            StoreErrorKind::Unavailable,
            Some("the system failed to read or write the files; check the disk and the system's log"),
        ),
    }
}

fn source(fault: Fault) -> Option<Arc<dyn std::error::Error + Send + Sync>> {
    match fault {
        Fault::Sled(error) => Some(Arc::new(error)),
        Fault::Panic(text) => Some(Arc::new(SledPanicked(text))),
        Fault::Io(error) => Some(Arc::new(error)),
        Fault::Store(error) => Some(Arc::new(error)),
    }
}

/// The text of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(fault: Fault, during: During) -> StoreError {
        StoreError::from(&classify(fault, during, Path::new("/data/tasks")))
    }

    #[test]
    fn only_a_failed_commit_is_unknown() {
        let full = || Fault::Io(io::Error::from(io::ErrorKind::StorageFull));
        let error = sorted(full(), During::Commit);
        assert_eq!(
            (error.certainty(), error.kind()),
            (Certainty::Unknown, StoreErrorKind::Full)
        );
        assert_eq!(sorted(full(), During::Call).certainty(), Certainty::Rejected);
        let refused = Fault::Store(StoreError::invalid("no"));
        assert_eq!(sorted(refused, During::Commit).certainty(), Certainty::Rejected);
    }

    #[test]
    fn damage_is_typed_and_names_the_directory_and_a_remedy() {
        for fault in [
            Fault::Panic("index out of bounds".to_owned()),
            Fault::Sled(sled::Error::Corruption { at: None, bt: () }),
            Fault::Io(io::Error::from(io::ErrorKind::UnexpectedEof)),
        ] {
            let error = sorted(fault, During::Call);
            assert_eq!(error.kind(), StoreErrorKind::Corrupt);
            let text = error.to_string();
            assert!(
                text.starts_with("/data/tasks: ") && text.contains("backup"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_full_disk_is_known_by_sleds_text_too() {
        let copied = io::Error::other("Os { code: 28, kind: StorageFull, message: \"No space left\" }");
        assert_eq!(
            sorted(Fault::Sled(sled::Error::Io(copied)), During::Call).kind(),
            StoreErrorKind::Full
        );
    }
}

//! What SQLite's errors mean to a caller: sorted once, here, into kinds, each with the file and the remedy.

use std::path::Path;
use std::sync::Arc;

use retry_core::store::{Certainty, StoreError, StoreErrorKind};
use rusqlite::ErrorCode;

/// A failure inside a call: the driver's, or one that is worded already.
#[derive(Debug)]
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    /// Whether another connection was in the way.
    pub(crate) fn is_busy(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
        )
    }
}

pub(crate) type Outcome<T> = Result<T, Fault>;

/// When an error came: only a failed commit may have written something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During {
    /// Opening the file or bringing up its schema.
    Open,
    /// A read, or a write before its commit.
    Call,
    /// The commit itself.
    Commit,
    /// A call through a connection of the user's own.
    Foreign,
}

/// A failure that can be told to several callers.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    certainty: Certainty,
    kind: StoreErrorKind,
    message: String,
    source: Arc<rusqlite::Error>,
}

impl Failure {
    /// Whether there was no room.
    pub(crate) fn is_full(&self) -> bool {
        self.kind == StoreErrorKind::Full
    }
}

impl From<&Failure> for StoreError {
    fn from(failure: &Failure) -> Self {
        let error = match failure.certainty {
            Certainty::Rejected => Self::rejected(failure.kind, failure.message.clone()),
            Certainty::Unknown => Self::unknown(failure.kind, failure.message.clone()),
        };
        error.with_source(Arc::clone(&failure.source))
    }
}

/// Sorts a driver's error.
pub(crate) fn classify(error: rusqlite::Error, during: During, file: &Path) -> Failure {
    let error = without_script(error);
    let (kind, remedy) = kind(&error, during);
    let uncertain = during == During::Commit
        && !is_constraint(&error)
        && !matches!(
            kind,
            StoreErrorKind::Full | StoreErrorKind::Busy | StoreErrorKind::ReadOnly
        );
    Failure {
        certainty: if uncertain {
            Certainty::Unknown
        } else {
            Certainty::Rejected
        },
        kind,
        message: format!("{}: {remedy}", file.display()),
        source: Arc::new(error),
    }
}

/// Words a fault for the caller.
pub(crate) fn store_error(fault: Fault, during: During, file: &Path) -> StoreError {
    match fault {
        Fault::Store(error) => error,
        Fault::Sqlite(error) => StoreError::from(&classify(error, during, file)),
    }
}

/// Sorts an error of the file system, met while the files were opened or created.
pub(crate) fn file_error(error: std::io::Error, file: &Path, remedy: &str) -> StoreError {
    use std::io::ErrorKind;
    let (kind, remedy) = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => (StoreErrorKind::ReadOnly, READ_ONLY),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (StoreErrorKind::Full, FULL),
        _ => (StoreErrorKind::Unavailable, remedy),
    };
    StoreError::rejected(kind, format!("{}: {remedy}", file.display())).with_source(error)
}

/// Whether a rule of the file's own tables refused a write.
pub(crate) fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// A statement as long as a schema says nothing to a user.
fn without_script(error: rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqlInputError { error, msg, .. } => rusqlite::Error::SqliteFailure(error, Some(msg)),
        other => other,
    }
}

const READ_ONLY: &str = "the file or its directory is read-only; allow this user to write to the directory, the file and \
                         the files beside it that end in -wal and -shm";

const FULL: &str = "the disk is full, or the file has reached its maximum size; free some space, the store goes on by itself";

fn kind(error: &rusqlite::Error, during: During) -> (StoreErrorKind, &'static str) {
    if is_schema(error) {
        return (StoreErrorKind::Schema, schema_remedy(during));
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (StoreErrorKind::Full, FULL),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            (StoreErrorKind::Busy, busy_remedy(during))
        }
        Some(ErrorCode::ReadOnly) => (StoreErrorKind::ReadOnly, READ_ONLY),
        Some(ErrorCode::DatabaseCorrupt) => (
            StoreErrorKind::Corrupt,
            "the file is damaged; stop every program that uses it, save a copy, and restore a backup or run sqlite3's \
             .recover on the copy",
        ),
        Some(ErrorCode::NotADatabase) => (
            StoreErrorKind::Corrupt,
            "this is not an SQLite database, or its header is damaged; check the path, or restore a backup",
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => (
            StoreErrorKind::Unavailable,
            "the file cannot be opened; check that its directory exists and that this user may write there",
        ),
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory | ErrorCode::NoLargeFileSupport) => (
            StoreErrorKind::Unavailable,
            "the system failed to read or write the file; check the disk and the system's log",
        ),
        Some(ErrorCode::ConstraintViolation) => (
            StoreErrorKind::Other,
            "a constraint or trigger of the file refused the write; nothing of it was kept",
        ),
        Some(ErrorCode::TooBig) => (StoreErrorKind::Invalid, "a text is too large for SQLite"),
        _ => (StoreErrorKind::Other, "the statement failed"),
    }
}

/// A table, column or index of ours is not there: another file, an unmigrated one, or one that somebody altered.
fn is_schema(error: &rusqlite::Error) -> bool {
    let message = match error {
        rusqlite::Error::SqliteFailure(cause, Some(message)) if cause.code == ErrorCode::Unknown => message,
        _ => return false,
    };
    [
        "no such table",
        "no such column",
        "no such index",
        "has no column",
        "already exists",
    ]
    .iter()
    .any(|text| message.contains(text))
}

const fn schema_remedy(during: During) -> &'static str {
    match during {
        During::Foreign => {
            "this connection does not see the tables; open it on their file, after they were created (migrated) there"
        }
        During::Open | During::Call | During::Commit => {
            "the tables are missing or were altered; open the file with migrations on, or restore a backup"
        }
    }
}

const fn busy_remedy(during: During) -> &'static str {
    match during {
        During::Foreign => {
            "another connection is writing; begin the transaction with BEGIN IMMEDIATE, set a busy_timeout, and repeat it"
        }
        During::Open | During::Call | During::Commit => {
            "another program held the file's write lock longer than the busy timeout; end its transaction, or raise the \
             timeout"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32, during: During) -> StoreError {
        let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        StoreError::from(&classify(error, during, Path::new("/data/x.db")))
    }

    #[test]
    fn only_a_commit_that_may_have_written_is_unknown() {
        let io = rusqlite::ffi::SQLITE_IOERR_FSYNC;
        assert_eq!(failure(io, During::Commit).certainty(), Certainty::Unknown);
        assert_eq!(failure(io, During::Call).certainty(), Certainty::Rejected);
        for (code, kind) in [
            (rusqlite::ffi::SQLITE_FULL, StoreErrorKind::Full),
            (rusqlite::ffi::SQLITE_BUSY_SNAPSHOT, StoreErrorKind::Busy),
            (rusqlite::ffi::SQLITE_READONLY_DIRECTORY, StoreErrorKind::ReadOnly),
        ] {
            let error = failure(code, During::Commit);
            assert_eq!((error.certainty(), error.kind()), (Certainty::Rejected, kind));
        }
    }

    #[test]
    fn messages_name_the_file_and_a_remedy() {
        let text = failure(rusqlite::ffi::SQLITE_NOTADB, During::Open).to_string();
        assert!(text.starts_with("/data/x.db: "), "{text}");
        assert!(text.contains("restore a backup"), "{text}");
    }
}

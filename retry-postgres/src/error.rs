//! What PostgreSQL's errors mean to a caller: sorted once, here, into kinds, each with a remedy.

use retry_core::store::{StoreError, StoreErrorKind};
use sqlx::postgres::PgDatabaseError;

/// A failure inside a call: the driver's, or one that is worded already.
#[derive(Debug)]
pub(crate) enum Fault {
    Driver(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(crate) type Outcome<T> = Result<T, Fault>;

/// What is known about a write when an error comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During {
    /// No commit was sent: nothing was written.
    Before,
    /// A commit, or a statement that is its own transaction, was sent.
    Commit,
    /// A statement inside a transaction of the user's own, which the user commits.
    Foreign,
}

/// The five characters of a server's error; none when the server did not speak.
fn code(error: &sqlx::Error) -> Option<&str> {
    error
        .as_database_error()?
        .try_downcast_ref::<PgDatabaseError>()
        .map(PgDatabaseError::code)
}

impl Fault {
    fn code(&self) -> Option<&str> {
        match self {
            Self::Driver(error) => code(error),
            Self::Store(_) => None,
        }
    }

    /// Another transaction was in the way and this one was rolled back: the same work may succeed at once.
    pub(crate) fn is_conflict(&self) -> bool {
        match self.code() {
            Some("40001" | "40P01" | "55P03") => true,
            // A rerun looked for the holder of its key before another transaction took the key.
            Some("23505") => self.is_key_race(),
            _ => false,
        }
    }

    /// A lock was waited for in vain.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        self.code() == Some("55P03")
    }

    fn is_key_race(&self) -> bool {
        let Self::Driver(error) = self else { return false };
        let constraint = error.as_database_error().and_then(|error| error.constraint());
        constraint == Some("task_key")
    }

    /// A row is there already. While an index is built anew it has another name, so its name is not looked at.
    pub(crate) fn is_repeat(&self) -> bool {
        self.code() == Some("23505")
    }

    /// The connection may be used no more.
    pub(crate) fn breaks_connection(&self) -> bool {
        match self {
            Self::Driver(sqlx::Error::Database(_)) => {
                matches!(self.code(), Some(code) if code.starts_with("57P") || code.starts_with("08") || matches!(code, "25P03" | "25P04"))
            }
            Self::Driver(_) => true,
            Self::Store(_) => false,
        }
    }
}

/// Words a fault for the caller. `place` names the server and the schema, without secrets.
pub(crate) fn store_error(fault: Fault, during: During, place: &str) -> StoreError {
    let error = match fault {
        Fault::Store(error) => return error,
        Fault::Driver(error) => error,
    };
    let (kind, remedy) = kind(&error, during);
    let message = format!("{place}: {remedy}");
    let unsure = during == During::Commit && !is_surely_rolled_back(&error);
    let worded = if unsure {
        StoreError::unknown(kind, message)
    } else {
        StoreError::rejected(kind, message)
    };
    worded.with_source(error)
}

/// Whether the server said of a commit, or of a statement that is its own transaction, that it did not happen.
fn is_surely_rolled_back(error: &sqlx::Error) -> bool {
    let said = |code: &str| {
        let classes = [
            "0A", "22", "23", "25", "28", "3D", "3F", "40", "42", "53", "54", "55",
        ];
        classes.iter().any(|class| code.starts_with(class)) || code == "57014"
    };
    code(error).is_some_and(said)
}

/// Whether there are as many connections as the server, or the pooler before it, takes.
fn is_out_of_connections(error: &sqlx::Error) -> bool {
    match (code(error), error) {
        (Some("53300"), _) => true,
        // PgBouncer has one code for whatever it refuses.
        (Some("08P01"), sqlx::Error::Database(said)) => {
            said.message().starts_with("no more connections allowed")
        }
        // A server with twice as many beginning refuses before it is asked for TLS, where the driver expects one letter.
        (None, sqlx::Error::Protocol(said)) => said.contains("response from SSLRequest: 0x45"),
        _ => false,
    }
}

fn kind(error: &sqlx::Error, during: During) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind as Kind;
    if is_out_of_connections(error) {
        let remedy = "no connection is left; raise `max_connections` of the server (PgBouncer: `max_client_conn`) or the CONNECTION LIMIT \
                      of the role or the database, or lower `max_connections` of the stores";
        return (Kind::Busy, remedy);
    }
    let Some(code) = code(error) else {
        return without_code(error);
    };
    match code {
        "40001" | "40P01" | "55P03" => (Kind::Busy, conflict_remedy(during)),
        "57014" => (
            Kind::Busy,
            "a statement took longer than its timeout and was cancelled; look for locks held too long, or raise the timeout",
        ),
        "53100" => (
            Kind::Full,
            "the server's disk is full; free some space, the store goes on by itself",
        ),
        "25006" => (
            Kind::ReadOnly,
            "the server refuses writes; connect to the primary, or end its read-only mode",
        ),
        "25P01" => (
            Kind::Invalid,
            "this connection has no transaction open: begin one, or enqueue without it",
        ),
        "25P02" => (
            Kind::Invalid,
            "the transaction has failed already; roll it back and repeat it from its beginning",
        ),
        "42P01" | "42703" | "42883" | "3F000" => (Kind::Schema, schema_remedy(during)),
        // The request is not to blame for these: others fail as well, and all succeed when somebody has put it right.
        "42501" => (
            Kind::Other,
            "this role may not do that; grant it the rights that the store's documentation lists",
        ),
        "28000" | "28P01" => (Kind::Other, "the server refused the role or its password"),
        "3D000" => (Kind::Other, "there is no such database; create it first"),
        _ => by_class(code),
    }
}

fn by_class(code: &str) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind as Kind;
    match code.get(..2).unwrap_or_default() {
        "08" | "57" | "53" => (
            Kind::Unavailable,
            "the server is stopping, starting, or out of memory; it is tried again",
        ),
        "58" => (
            Kind::Unavailable,
            "the server's system failed; look into the server's log",
        ),
        "22" | "54" => (Kind::Invalid, "the server cannot keep one of the values"),
        "XX" => (
            Kind::Corrupt,
            "the server found its own data damaged; look into the server's log before anything else",
        ),
        _ => (Kind::Other, "the statement failed"),
    }
}

fn without_code(error: &sqlx::Error) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind as Kind;
    // A handshake that fails comes as data that cannot be read.
    let is_tls = match error {
        sqlx::Error::Io(io) => io.kind() == std::io::ErrorKind::InvalidData,
        sqlx::Error::Tls(_) => true,
        _ => false,
    };
    if is_tls {
        let remedy =
            "TLS could not be set up; check the server's certificate and `sslrootcert`, or `sslmode`";
        return (Kind::Unavailable, remedy);
    }
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => (
            Kind::Unavailable,
            "the connection failed; check that the server runs and can be reached",
        ),
        // The driver's own pools are the user's.
        sqlx::Error::PoolTimedOut => (
            Kind::Busy,
            "your pool lent no connection within its `acquire_timeout`: all were in use (raise its `max_connections`, or hold \
             them for less long), or it could open none",
        ),
        sqlx::Error::Configuration(_) => (Kind::Invalid, "the URL cannot be used"),
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. } => (
            Kind::Schema,
            "a column has another type than the store's; somebody altered its tables",
        ),
        _ => (Kind::Other, "the statement failed"),
    }
}

const fn conflict_remedy(during: During) -> &'static str {
    match during {
        During::Foreign => "another transaction was in the way; roll back and repeat the whole transaction",
        During::Before | During::Commit => {
            "other transactions were in the way too often; find out who holds locks in the store's tables"
        }
    }
}

const fn schema_remedy(during: During) -> &'static str {
    match during {
        During::Foreign => {
            "this connection does not see the tables; open it on their database, after they were created by a migration"
        }
        During::Before | During::Commit => {
            "the tables are missing or were altered; connect with migrations on, or restore a backup"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use retry_core::store::Certainty;

    #[test]
    fn a_lost_connection_leaves_a_commit_unknown_and_nothing_else() {
        let lost = || Fault::Driver(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert!(lost().breaks_connection());
        assert!(!lost().is_conflict());
        for (during, certainty) in [
            (During::Before, Certainty::Rejected),
            (During::Foreign, Certainty::Rejected),
            (During::Commit, Certainty::Unknown),
        ] {
            let error = store_error(lost(), during, "db:5432/shop");
            assert_eq!(
                (error.certainty(), error.kind()),
                (certainty, StoreErrorKind::Unavailable)
            );
            assert!(error.to_string().starts_with("db:5432/shop: "), "{error}");
        }
    }
}

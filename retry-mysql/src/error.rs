//! What the driver's errors mean to a caller: sorted once, here, into kinds, each with the server's address and the remedy.

use retry_core::store::{StoreError, StoreErrorKind};
use sqlx::mysql::MySqlDatabaseError;

/// A failure inside a call: the driver's, one that is worded already, or a collision after which the call starts anew.
#[derive(Debug)]
pub(crate) enum Fault {
    Sql(sqlx::Error),
    Store(StoreError),
    /// Somebody else wrote a row of the same id or key between the look and the write.
    Collision,
    /// The call took longer than its limit; its connection is closed.
    TimedOut,
    /// A new connection leads to a server that takes no writes.
    ReadOnly,
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        if number(&error) == Some(DUPLICATE) {
            Self::Collision
        } else {
            Self::Sql(error)
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(crate) type Outcome<T> = Result<T, Fault>;

/// When an error came: before the commit nothing can have been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During {
    /// Connecting, or checking the server.
    Connect,
    /// A read, or a transaction before its commit was sent.
    Call,
    /// The commit, or a write that commits by itself.
    Commit,
    /// A call through a connection of the user's own.
    Foreign,
}

/// A savepoint is not there.
pub(crate) const NO_SAVEPOINT: u16 = 1305;
const DUPLICATE: u16 = 1062;
const LOCK_WAIT: u16 = 1205;
const DEADLOCK: u16 = 1213;
/// The row changed since the transaction's snapshot (MariaDB with `innodb_snapshot_isolation`).
const CHECK_READ: u16 = 1020;

/// The numbers of errors that no server makes, but a proxy that is a client itself and has lost its server.
const CLIENTS: u16 = 2000;
const CLIENTS_LAST: u16 = 2999;

/// The server's number for an error; none if it is not the server's.
pub(crate) fn number(error: &sqlx::Error) -> Option<u16> {
    let sqlx::Error::Database(error) = error else {
        return None;
    };
    error
        .try_downcast_ref::<MySqlDatabaseError>()
        .map(MySqlDatabaseError::number)
}

/// The refusal of a connection without an open transaction, which shows by a savepoint that is gone at once.
pub(crate) fn outside_transaction(error: &sqlx::Error) -> Option<StoreError> {
    let refusal = "this connection has no transaction open: begin one, or enqueue without it";
    (number(error) == Some(NO_SAVEPOINT)).then(|| StoreError::invalid(refusal))
}

impl Fault {
    /// Whether the transaction was, or after a ROLLBACK will be, as if it had never been, and may succeed when it is repeated.
    pub(crate) fn may_repeat(&self) -> bool {
        match self {
            Self::Sql(error) => {
                matches!(number(error), Some(LOCK_WAIT | DEADLOCK | CHECK_READ))
            }
            Self::Collision => true,
            Self::Store(_) | Self::TimedOut | Self::ReadOnly => false,
        }
    }

    /// Whether the server answered, on a connection that is still of use, that it did not do it.
    pub(crate) fn is_refusal(&self) -> bool {
        let is_answer =
            matches!(self, Self::Collision) || matches!(self, Self::Sql(error) if number(error).is_some());
        is_answer && !self.is_lost_connection()
    }

    /// Whether somebody kept a lock for too long.
    pub(crate) fn waited_in_vain(&self) -> bool {
        matches!(self, Self::Sql(error) if number(error) == Some(LOCK_WAIT))
    }

    /// Whether the connection is of no use any more: broken, or leading to a server that is read-only now, while its name may
    /// lead to the new primary.
    pub(crate) fn is_lost_connection(&self) -> bool {
        match self {
            Self::Sql(error) => match number(error) {
                Some(number) => matches!(
                    kind_of(number),
                    Some((StoreErrorKind::Unavailable | StoreErrorKind::ReadOnly, _))
                ),
                None => true,
            },
            Self::TimedOut | Self::ReadOnly => true,
            Self::Store(_) | Self::Collision => false,
        }
    }
}

/// Words a fault for the caller. `place` is the server's address and database, without a password.
pub(crate) fn store_error(fault: Fault, during: During, place: &str) -> StoreError {
    let (kind, remedy) = match &fault {
        Fault::Store(_) => (StoreErrorKind::Other, ""),
        Fault::Collision => (
            StoreErrorKind::Busy,
            "other calls kept inserting the same ids or keys; repeat it",
        ),
        Fault::TimedOut => (
            StoreErrorKind::Unavailable,
            "the server did not answer in time; its connection was closed",
        ),
        Fault::ReadOnly => (StoreErrorKind::ReadOnly, READ_ONLY),
        Fault::Sql(error) => kind(error, during),
    };
    let rolled_back = fault.may_repeat();
    let answered = matches!(&fault, Fault::Sql(error) if refused(error));
    let message = format!("{place}: {remedy}");
    let unknown = during == During::Commit && !rolled_back && !answered;
    let error = if unknown {
        StoreError::unknown(kind, message)
    } else {
        StoreError::rejected(kind, message)
    };
    match fault {
        Fault::Store(error) => error,
        Fault::Sql(source) => error.with_source(source),
        Fault::Collision | Fault::TimedOut | Fault::ReadOnly => error,
    }
}

/// Whether the server refused the statement before it did anything: also true of a commit.
fn refused(error: &sqlx::Error) -> bool {
    let refusals = [StoreErrorKind::ReadOnly, StoreErrorKind::Schema];
    number(error)
        .and_then(kind_of)
        .is_some_and(|(kind, _)| refusals.contains(&kind))
}

const READ_ONLY: &str = "the server is read-only (read_only), as a replica is; connect to the primary";

fn kind(error: &sqlx::Error, during: During) -> (StoreErrorKind, &'static str) {
    match (number(error), during) {
        (Some(1146 | 1049 | 1054), During::Foreign) => (
            StoreErrorKind::Schema,
            "this connection does not see the tables; open it on their server, after they were created by a migration",
        ),
        (Some(LOCK_WAIT), During::Foreign) => (
            StoreErrorKind::Busy,
            "another transaction holds a row for too long; roll back and repeat the transaction",
        ),
        (Some(DEADLOCK | CHECK_READ), During::Foreign) => (
            StoreErrorKind::Busy,
            "the server rolled the whole transaction back; repeat it from its beginning",
        ),
        (Some(number), _) => {
            kind_of(number).unwrap_or((StoreErrorKind::Other, "the server refused the statement"))
        }
        (None, _) if matches!(error, sqlx::Error::PoolTimedOut) => (
            StoreErrorKind::Busy,
            "your pool lent no connection within its `acquire_timeout`: all were in use (raise its `max_connections`, or hold \
             them for less long), or it could open none",
        ),
        (None, During::Connect) => (
            StoreErrorKind::Unavailable,
            "the server cannot be reached; check the address, that it runs, and its certificate if TLS is on",
        ),
        (None, _) => match error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => (
                StoreErrorKind::Unavailable,
                "the connection broke; check the server and the network",
            ),
            _ => (StoreErrorKind::Other, "the driver failed"),
        },
    }
}

/// The kinds of the server's errors, by number; MariaDB's and MySQL's differ only where both are named.
fn kind_of(number: u16) -> Option<(StoreErrorKind, &'static str)> {
    Some(match number {
        LOCK_WAIT | DEADLOCK | CHECK_READ | 1637 => (
            StoreErrorKind::Busy,
            "other transactions were in the way; repeat it",
        ),
        // Interrupted by hand or by the statement's time limit (MariaDB, MySQL).
        1317 | 1969 | 3024 => (
            StoreErrorKind::Busy,
            "the statement was interrupted or took longer than the statement timeout",
        ),
        1040 => (
            StoreErrorKind::Busy,
            "the server has no connection left; raise its max_connections, or lower the store's `connections` and `readers`",
        ),
        1203 | 1226 => (
            StoreErrorKind::Busy,
            "the user has used up what the server grants it; raise max_user_connections, or its own limits (ALTER USER … WITH \
             MAX_…), or lower the store's `connections` and `readers`",
        ),
        1053 | 1077 | 1158..=1161 | 1184 | 1927 | CLIENTS..=CLIENTS_LAST | 4031 => (
            StoreErrorKind::Unavailable,
            "the server ended the connection; it stops, or somebody killed it",
        ),
        1021 | 1114 => (
            StoreErrorKind::Full,
            "the server's disk or a table is full; free some space, the store goes on by itself",
        ),
        1290 | 1792 | 1836 | 3100 => (StoreErrorKind::ReadOnly, READ_ONLY),
        1049 | 1051 | 1054 | 1146 | 1176 => (
            StoreErrorKind::Schema,
            "the tables are missing or were altered; connect with migrations on, or restore a backup",
        ),
        1034 | 1035 | 1194 | 1712 | 1877 => (
            StoreErrorKind::Corrupt,
            "the server reports a damaged table; check it, and restore a backup",
        ),
        1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1698 => (
            StoreErrorKind::Other,
            "the server denies access; check the user, the password and the grants on the store's tables",
        ),
        1153 => (
            StoreErrorKind::Invalid,
            "the call is larger than the server's max_allowed_packet",
        ),
        1264 | 1366 | 1406 => (StoreErrorKind::Invalid, "a value does not fit its column"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use retry_core::store::Certainty;

    fn broken() -> Fault {
        Fault::Sql(sqlx::Error::Io(std::io::Error::from(
            std::io::ErrorKind::ConnectionReset,
        )))
    }

    #[test]
    fn only_a_commit_may_have_written() {
        for during in [During::Connect, During::Call, During::Foreign] {
            assert_eq!(
                store_error(broken(), during, "x").certainty(),
                Certainty::Rejected
            );
        }
        assert_eq!(
            store_error(broken(), During::Commit, "x").certainty(),
            Certainty::Unknown
        );
        assert_eq!(
            store_error(Fault::Collision, During::Commit, "x").certainty(),
            Certainty::Rejected
        );
        assert_eq!(
            store_error(Fault::TimedOut, During::Commit, "x").certainty(),
            Certainty::Unknown
        );
    }

    #[test]
    fn limits_of_the_server_are_no_outage() {
        for number in [1040, 1203, 1226] {
            let (kind, remedy) = kind_of(number).unwrap();
            assert_eq!(kind, StoreErrorKind::Busy, "{number}");
            assert!(remedy.contains("connections"), "{remedy}");
        }
    }

    #[test]
    fn what_a_proxy_lost_is_an_outage() {
        for number in [2006, 2013] {
            assert_eq!(kind_of(number).unwrap().0, StoreErrorKind::Unavailable);
        }
    }

    #[test]
    fn messages_name_the_server_and_a_remedy() {
        let text = store_error(broken(), During::Call, "db.example:3306/shop").to_string();
        assert!(text.starts_with("db.example:3306/shop: "), "{text}");
        assert!(text.contains("check the server"), "{text}");
    }
}

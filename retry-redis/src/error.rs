//! What the server's and the driver's errors mean to a caller: sorted once, here, each with the address and the remedy.

use redis::{ErrorKind, RedisError};
use retry_core::store::{Certainty, StoreError, StoreErrorKind};

/// When an error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During {
    /// Connecting: nothing was sent that writes.
    Connect,
    /// A command that may have reached the server.
    Call,
}

/// Sorts a driver's error. What the server answered with a code of its own was refused before the first write; what has no
/// answer, or came out of the middle of a script, is unknown.
pub(crate) fn classify(error: RedisError, during: During, address: &str) -> StoreError {
    let (certainty, kind, remedy) = sort(&error, during);
    let certainty = if during == During::Connect {
        Certainty::Rejected
    } else {
        certainty
    };
    let message = format!("redis at {address}: {remedy}");
    let sorted = match certainty {
        Certainty::Rejected => StoreError::rejected(kind, message),
        Certainty::Unknown => StoreError::unknown(kind, message),
    };
    sorted.with_source(error)
}

/// The script is not there any more, or the server was started anew.
pub(crate) fn is_no_script(error: &RedisError) -> bool {
    error.code() == Some("NOSCRIPT")
}

/// The server has as many connections as it may have.
pub(crate) fn is_out_of_connections(error: &RedisError) -> bool {
    error.code() == Some("ERR") && error.detail().is_some_and(says_out_of_connections)
}

fn says_out_of_connections(detail: &str) -> bool {
    detail.starts_with("max number of clients")
}

fn sort(error: &RedisError, during: During) -> (Certainty, StoreErrorKind, String) {
    if let Some(code) = error.code() {
        return by_code(code, error.detail().unwrap_or_default());
    }
    let (kind, remedy) = match error.kind() {
        ErrorKind::Io if error.is_timeout() => (
            StoreErrorKind::Unavailable,
            "no answer within the timeout; is the server overloaded, or the network cut?",
        ),
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => (
            StoreErrorKind::Unavailable,
            "the connection failed; is the server running, and the address right?",
        ),
        ErrorKind::AuthenticationFailed => (
            StoreErrorKind::Other,
            "the server refused the user or the password; check them and the user's ACL",
        ),
        ErrorKind::InvalidClientConfig => (StoreErrorKind::Invalid, "the URL cannot be used"),
        _ if during == During::Connect => (
            StoreErrorKind::Unavailable,
            "the connection cannot be set up; check the address, TLS, the user and the password",
        ),
        _ => (StoreErrorKind::Other, "the server's answer was not understood"),
    };
    let refused = error.is_connection_refusal()
        || matches!(
            error.kind(),
            ErrorKind::AuthenticationFailed
                | ErrorKind::InvalidClientConfig
                | ErrorKind::ClusterConnectionNotFound
        );
    (certain(refused), kind, remedy.to_owned())
}

const fn certain(rejected: bool) -> Certainty {
    if rejected {
        Certainty::Rejected
    } else {
        Certainty::Unknown
    }
}

/// An error that the server sent.
fn by_code(code: &str, detail: &str) -> (Certainty, StoreErrorKind, String) {
    let (kind, remedy) = match code {
        "LOADING" => (
            StoreErrorKind::Unavailable,
            "the server is still loading its data; wait",
        ),
        "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN" | "ASK" => (
            StoreErrorKind::Unavailable,
            "the cluster is not ready; wait for it, or repair it",
        ),
        "MOVED" => (
            StoreErrorKind::Unavailable,
            "another node of the cluster holds this namespace; name the server as a cluster (`.cluster(true)`)",
        ),
        "NOREPLICAS" => (
            StoreErrorKind::Unavailable,
            "fewer replicas are connected than `min-replicas-to-write` asks for",
        ),
        "BUSY" => (
            StoreErrorKind::Busy,
            "another script is running on the server; wait or kill it",
        ),
        "OOM" => (
            StoreErrorKind::Full,
            "the server is at `maxmemory`; raise it, or purge; the store goes on by itself",
        ),
        "READONLY" => (
            StoreErrorKind::ReadOnly,
            "this server is a read-only replica; connect to the primary",
        ),
        "MISCONF" => (
            StoreErrorKind::ReadOnly,
            "the server refuses writes because it cannot save to disk; look at its log and disk",
        ),
        "CORRUPT" | "WRONGTYPE" => (
            StoreErrorKind::Corrupt,
            "a key of this namespace holds something else; use another namespace, or repair it",
        ),
        "SCHEMA" => (StoreErrorKind::Schema, schema_remedy(detail)),
        "INVALID" => (StoreErrorKind::Invalid, "the script refused its arguments"),
        "NOAUTH" | "WRONGPASS" => (
            StoreErrorKind::Other,
            "the server refused the user or the password; check them and the user's ACL",
        ),
        // A right that is missing for one command only may stop a script in its middle.
        "NOPERM" => {
            let remedy = "the user lacks a right; give it ~{namespace}:* &{namespace}:* and the commands in the documentation";
            return (
                certain(!detail.contains("script")),
                StoreErrorKind::Other,
                remedy.to_owned(),
            );
        }
        "NOSCRIPT" => (StoreErrorKind::Other, "the server does not keep scripts"),
        "ERR" if says_out_of_connections(detail) => (
            StoreErrorKind::Busy,
            "the server has no connection left; raise its `maxclients`, or connect fewer programs",
        ),
        "ERR" if !detail.contains("script") => {
            let remedy = format!("the server refused: {detail}");
            return (Certainty::Rejected, StoreErrorKind::Other, remedy);
        }
        _ => {
            let remedy = format!("the server answered {code} {detail}");
            return (Certainty::Unknown, StoreErrorKind::Other, remedy);
        }
    };
    (Certainty::Rejected, kind, remedy.to_owned())
}

fn schema_remedy(detail: &str) -> &'static str {
    if detail.starts_with("none") {
        "this namespace is empty or was flushed; connect with migrations on"
    } else if detail.starts_with(|first: char| first.is_ascii_digit()) {
        "this namespace was written by a newer version of this library; update this program"
    } else {
        "keys of this namespace were not written by this library; use another namespace"
    }
}

/// An answer that has another shape than the script's.
pub(crate) fn unexpected(address: &str) -> StoreError {
    StoreError::unknown(
        StoreErrorKind::Other,
        format!(
            "redis at {address}: an answer has another shape than expected; is something between here and the server?"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn server(code: &str, detail: &str) -> StoreError {
        let error = redis::parse_redis_value(format!("-{code} {detail}\r\n").as_bytes())
            .unwrap()
            .extract_error()
            .unwrap_err();
        classify(error, During::Call, "h:1")
    }

    #[test]
    fn refusals_are_certain_and_typed() {
        for (code, kind) in [
            ("OOM", StoreErrorKind::Full),
            ("MISCONF", StoreErrorKind::ReadOnly),
            ("READONLY", StoreErrorKind::ReadOnly),
            ("LOADING", StoreErrorKind::Unavailable),
            ("CLUSTERDOWN", StoreErrorKind::Unavailable),
            ("MOVED", StoreErrorKind::Unavailable),
            ("NOREPLICAS", StoreErrorKind::Unavailable),
            ("BUSY", StoreErrorKind::Busy),
            ("SCHEMA", StoreErrorKind::Schema),
            ("CORRUPT", StoreErrorKind::Corrupt),
            ("NOAUTH", StoreErrorKind::Other),
        ] {
            let error = server(code, "x 1");
            assert_eq!(
                (error.certainty(), error.kind()),
                (Certainty::Rejected, kind),
                "{code}"
            );
            assert!(error.to_string().starts_with("redis at h:1: "), "{error}");
        }
        assert_eq!(
            server("ERR", "unknown command 'EVALSHA'").certainty(),
            Certainty::Rejected
        );
        let crowded = server("ERR", "max number of clients reached");
        assert_eq!(
            (crowded.certainty(), crowded.kind(), crowded.is_retryable()),
            (Certainty::Rejected, StoreErrorKind::Busy, true)
        );
        assert!(crowded.to_string().contains("`maxclients`"), "{crowded}");
    }

    #[test]
    fn what_stops_a_script_in_its_middle_is_unknown() {
        for (code, detail) in [
            (
                "ERR",
                "user_script:3: attempt to index a nil value script: ab, on @user_script:3.",
            ),
            (
                "NOPERM",
                "this user has no permissions to run the 'zadd' command script: ab",
            ),
            ("WHATEVER", "x"),
        ] {
            assert_eq!(server(code, detail).certainty(), Certainty::Unknown, "{code}");
        }
    }

    #[test]
    fn a_connection_that_fails_is_rejected_before_and_unknown_after_sending() {
        let reset = || RedisError::from(io::Error::from(io::ErrorKind::ConnectionReset));
        let kind = StoreErrorKind::Unavailable;
        for (during, certainty) in [
            (During::Connect, Certainty::Rejected),
            (During::Call, Certainty::Unknown),
        ] {
            let error = classify(reset(), during, "h:1");
            assert_eq!((error.certainty(), error.kind()), (certainty, kind));
        }
        let odd = redis::make_extension_error("ODD".to_owned(), None);
        assert_eq!(
            classify(odd, During::Connect, "h:1").certainty(),
            Certainty::Rejected
        );
        let refused = RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(
            classify(refused, During::Call, "h:1").certainty(),
            Certainty::Rejected
        );
    }
}

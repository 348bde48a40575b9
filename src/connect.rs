//! Picks a store by the scheme of a URL, among the enabled features.

use std::fmt;

use retry_core::client::Client;
use retry_core::store::StoreError;

/// Why no client could be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL has no known scheme.
    UnknownScheme(String),
    /// What stands behind the scheme is nothing that its store takes.
    InvalidUrl {
        /// The scheme.
        scheme: &'static str,
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// The scheme's store is not compiled in.
    FeatureDisabled {
        /// The scheme.
        scheme: &'static str,
        /// The feature that enables it.
        feature: &'static str,
    },
    /// The store could not be opened.
    Store(StoreError),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The URL itself may hold a password: only its scheme is shown.
            Self::UnknownScheme(scheme) => write!(
                f,
                "no store has the scheme {scheme:?}; known are `sqlite:PATH` and `memory:`"
            ),
            Self::InvalidUrl { scheme, reason } => write!(f, "a URL with `{scheme}:` {reason}"),
            Self::FeatureDisabled { scheme, feature } => {
                write!(
                    f,
                    "`{scheme}:` needs the feature `{feature}` of task-retry: enable it in Cargo.toml"
                )
            }
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::UnknownScheme(_) | Self::InvalidUrl { .. } | Self::FeatureDisabled { .. } => None,
        }
    }
}

/// A client of the store that `url` names: `sqlite:PATH` (or `sqlite://PATH`) or `memory:`. The scheme may be in capital
/// letters; the path is taken as it is, so that a `%20` in it is no blank.
///
/// The client has forgotten the type of its store; to enqueue inside a transaction of your own, build the client from
/// the store itself.
///
/// # Errors
/// The scheme is unknown or not compiled in, the rest of the URL is nothing that its store takes, or the store cannot be
/// opened. No option is passed over: what a URL cannot say is an error.
pub async fn connect(url: &str) -> Result<Client, ConnectError> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme.to_ascii_lowercase().as_str() {
        "memory" => memory(rest),
        "sqlite" => sqlite(path(rest)?),
        _ => Err(ConnectError::UnknownScheme(scheme.to_owned())),
    }
}

fn memory(rest: &str) -> Result<Client, ConnectError> {
    match rest {
        "" | "//" => Ok(Client::new(retry_core::store::MemoryStore::new()).erase()),
        _ => Err(ConnectError::InvalidUrl {
            scheme: "memory",
            reason: "names nothing: each connection is a store of its own",
        }),
    }
}

/// The path in a URL of SQLite.
fn path(rest: &str) -> Result<&str, ConnectError> {
    let refused = |reason| {
        let scheme = "sqlite";
        Err(ConnectError::InvalidUrl { scheme, reason })
    };
    match rest.strip_prefix("//").unwrap_or(rest) {
        "" => refused("names a file: `sqlite:PATH`"),
        path if path.contains('?') => {
            refused("has no options behind a `?`; set them with `SqliteStore::builder`")
        }
        path => Ok(path),
    }
}

#[cfg(feature = "sqlite")]
fn sqlite(path: &str) -> Result<Client, ConnectError> {
    let store = retry_sqlite::SqliteStore::open(path).map_err(|error| ConnectError::Store(error.into()))?;
    Ok(Client::new(store).erase())
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_: &str) -> Result<Client, ConnectError> {
    Err(ConnectError::FeatureDisabled {
        scheme: "sqlite",
        feature: "sqlite",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scheme_picks_the_store_and_a_wrong_one_is_named_without_its_secrets() {
        assert!(connect("memory:").await.is_ok());
        let error = connect("redis2://user:secret@host/0").await.unwrap_err();
        assert!(matches!(&error, ConnectError::UnknownScheme(scheme) if scheme == "redis2"));
        assert!(!error.to_string().contains("secret"));
        assert!(connect("Memory://").await.is_ok(), "a scheme has no case");
        assert!(connect("tasks.db").await.is_err(), "a path alone is no URL");
    }

    #[tokio::test]
    async fn what_a_url_cannot_say_is_refused() {
        for (url, reason) in [
            ("memory:jobs", "names nothing"),
            ("memory:?shared=yes", "names nothing"),
            ("sqlite:", "names a file"),
            ("sqlite://", "names a file"),
            ("SQLITE:tasks.db?mode=ro", "no options"),
        ] {
            let error = connect(url).await.unwrap_err();
            assert!(
                matches!(error, ConnectError::InvalidUrl { .. }),
                "{url}: {error:?}"
            );
            assert!(error.to_string().contains(reason), "{url}: {error}");
        }
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn sqlite_takes_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.db");
        assert!(connect(&format!("sqlite:{}", path.display())).await.is_ok());
        assert!(path.exists());
        let other = dir.path().join("Other.db");
        assert!(connect(&format!("SQLite://{}", other.display())).await.is_ok());
        assert!(other.exists());
        assert!(matches!(
            connect("sqlite:/nowhere/at/all.db").await,
            Err(ConnectError::Store(_))
        ));
    }

    #[cfg(not(feature = "sqlite"))]
    #[tokio::test]
    async fn a_store_that_is_off_names_its_feature() {
        let error = connect("sqlite:tasks.db").await.unwrap_err();
        assert!(error.to_string().contains("feature `sqlite`"));
    }
}

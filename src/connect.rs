//! Picks a store by the scheme of a URL, among the enabled features.

use std::fmt;

use retry_core::client::Client;
use retry_core::store::{MemoryStore, StoreError};

/// The URLs there are, for the message about another one.
const KNOWN: &str = "`sqlite:PATH`, `sled:PATH`, `postgres://…`, `mysql://…`, `mariadb://…`, `redis://…`, `rediss://…`, \
                     `redis-cluster://…`, `rediss-cluster://…` and `memory:`";

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
        scheme: String,
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
            Self::UnknownScheme(scheme) => write!(f, "no store has the scheme {scheme:?}; known are {KNOWN}"),
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

/// A client of the store that `url` names, with the store's defaults.
///
/// | URL | store | feature |
/// |---|---|---|
/// | `sqlite:PATH`, `sqlite://PATH` | SQLite | `sqlite` |
/// | `sled:PATH`, `sled://PATH` | sled | `sled` |
/// | `postgres://user:password@host:port/database` | PostgreSQL | `postgres` |
/// | `mysql://…`, `mariadb://…` | MySQL, MariaDB | `mysql` |
/// | `redis://…`, `rediss://…` (TLS) | Redis, Valkey | `redis` |
/// | `redis-cluster://host:port,host:port…`, `rediss-cluster://…` | a cluster of them | `redis` |
/// | `memory:` | a new store in memory | – |
///
/// The scheme may be in capital letters; a path is taken as it is, so that a `%20` in it is no blank.
///
/// The client has forgotten the type of its store; to enqueue inside a transaction of your own, and for the options of a
/// store, build the client from the store itself.
///
/// # Errors
/// The scheme is unknown or not compiled in, the rest of the URL is nothing that its store takes, or the store cannot be
/// opened. No option is passed over: what a URL cannot say is an error.
pub async fn connect(url: &str) -> Result<Client, ConnectError> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    let scheme = scheme.to_ascii_lowercase();
    let url = format!("{scheme}:{rest}");
    match scheme.as_str() {
        "memory" => memory(rest),
        "sqlite" => sqlite(path("sqlite", rest)?),
        "sled" => sled(path("sled", rest)?),
        "postgres" | "postgresql" => postgres(&scheme, &url).await,
        "mysql" | "mariadb" => mysql(&scheme, &url).await,
        "redis" | "rediss" | "redis-cluster" | "rediss-cluster" => redis(&scheme, &url).await,
        _ => Err(ConnectError::UnknownScheme(scheme)),
    }
}

fn memory(rest: &str) -> Result<Client, ConnectError> {
    match rest {
        "" | "//" => Ok(Client::new(MemoryStore::new()).erase()),
        _ => Err(ConnectError::InvalidUrl {
            scheme: "memory",
            reason: "names nothing: each connection is a store of its own",
        }),
    }
}

/// The path in the URL of an embedded store.
fn path<'a>(scheme: &'static str, rest: &'a str) -> Result<&'a str, ConnectError> {
    let refused = |reason| Err(ConnectError::InvalidUrl { scheme, reason });
    match rest.strip_prefix("//").unwrap_or(rest) {
        "" => refused("names a path behind it"),
        path if path.contains('?') => {
            refused("has no options behind a `?`; set them with the store's builder")
        }
        path => Ok(path),
    }
}

/// What opens a store when its feature is on, and says so when it is off.
macro_rules! opener {
    ($feature:literal, fn $name:ident($path:ident) => $open:expr) => {
        #[cfg(feature = $feature)]
        fn $name($path: &str) -> Result<Client, ConnectError> {
            opened($open)
        }

        #[cfg(not(feature = $feature))]
        fn $name(_: &str) -> Result<Client, ConnectError> {
            disabled($feature, $feature)
        }
    };
    ($feature:literal, async fn $name:ident($url:ident) => $open:expr) => {
        #[cfg(feature = $feature)]
        async fn $name(_: &str, $url: &str) -> Result<Client, ConnectError> {
            opened($open)
        }

        #[cfg(not(feature = $feature))]
        async fn $name(scheme: &str, _: &str) -> Result<Client, ConnectError> {
            disabled(scheme, $feature)
        }
    };
}

opener!("sqlite", fn sqlite(path) => retry_sqlite::SqliteStore::open(path));
opener!("sled", fn sled(path) => retry_sled::SledStore::open(path));
opener!("postgres", async fn postgres(url) => retry_postgres::PostgresStore::connect(url).await);
opener!("mysql", async fn mysql(url) => retry_mysql::MySqlStore::connect(url).await);
opener!("redis", async fn redis(url) => retry_redis::RedisStore::connect(url).await);

#[allow(dead_code, reason = "not every set of features has a store")]
fn opened<S: retry_core::store::TaskStore>(
    store: Result<S, impl Into<StoreError>>,
) -> Result<Client, ConnectError> {
    let store = store.map_err(|error| ConnectError::Store(error.into()))?;
    Ok(Client::new(store).erase())
}

#[allow(dead_code, reason = "with every feature nothing is disabled")]
fn disabled(scheme: &str, feature: &'static str) -> Result<Client, ConnectError> {
    let scheme = scheme.to_owned();
    Err(ConnectError::FeatureDisabled { scheme, feature })
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
            ("sqlite:", "names a path"),
            ("sled://", "names a path"),
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

    #[cfg(feature = "sled")]
    #[tokio::test]
    async fn sled_takes_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks");
        assert!(connect(&format!("sled:{}", path.display())).await.is_ok());
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_store_that_is_off_names_its_feature() {
        for (url, feature, on) in [
            ("sqlite:/nowhere/at/all.db", "sqlite", cfg!(feature = "sqlite")),
            ("sled:/proc/nowhere", "sled", cfg!(feature = "sled")),
            (
                "postgresql://u:secret@127.0.0.1:1/db",
                "postgres",
                cfg!(feature = "postgres"),
            ),
            (
                "mariadb://u:secret@127.0.0.1:1/db",
                "mysql",
                cfg!(feature = "mysql"),
            ),
            (
                "redis-cluster://u:secret@127.0.0.1:1",
                "redis",
                cfg!(feature = "redis"),
            ),
        ] {
            let error = connect(url).await.unwrap_err();
            let text = error.to_string();
            assert!(!text.contains("secret"), "{text}");
            match error {
                ConnectError::FeatureDisabled { .. } => {
                    assert!(!on && text.contains(&format!("feature `{feature}`")), "{text}");
                }
                ConnectError::Store(_) => assert!(on, "{text}"),
                other => panic!("{url}: {other:?}"),
            }
        }
    }
}

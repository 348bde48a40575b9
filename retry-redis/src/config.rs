//! The options of a store, checked before the server is asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use retry_core::clock::{Clock, SystemClock};
use retry_core::store::address::{is_this_machine, is_whole};
use retry_core::store::{Durability, StoreError};

use crate::store::RedisStore;
use crate::tls::Tls;

/// The longest namespace: it stands in the name of every key.
const MAX_NAMESPACE_BYTES: usize = 64;

/// The least timeouts: below, an ordinary pause of the server looks like an outage.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

/// What tells the keys of one store from all others on the server: 1 to 64 bytes of `[A-Za-z0-9._:/-]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) fn new(name: &str) -> Result<Self, ConfigError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '/' | '-');
        if name.is_empty() || name.len() > MAX_NAMESPACE_BYTES || !name.chars().all(allowed) {
            return Err(ConfigError::Namespace(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checked options.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) nodes: Vec<ConnectionInfo>,
    pub(crate) cluster: bool,
    pub(crate) namespace: Namespace,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) allow_no_persistence: bool,
    pub(crate) assume_durability: Option<Durability>,
    pub(crate) migrate: bool,
    pub(crate) tls: Tls,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Config {
    /// The servers' addresses, without users and passwords.
    pub(crate) fn address(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| node.addr().to_string()).collect();
        nodes.join(",")
    }
}

/// Options of a [`RedisStore`], from [`RedisStore::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct RedisBuilder {
    urls: Vec<String>,
    namespace: String,
    cluster: bool,
    connect_timeout: Duration,
    response_timeout: Duration,
    allow_no_persistence: bool,
    assume_durability: Option<Durability>,
    migrate: bool,
    plaintext: bool,
    tls: Tls,
}

/// The URLs may hold passwords and are not shown.
impl fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBuilder")
            .field("namespace", &self.namespace)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

impl RedisBuilder {
    pub(crate) fn new(url: &str) -> Self {
        let cluster = cluster_urls(url);
        Self {
            cluster: cluster.is_some(),
            urls: cluster.unwrap_or_else(|| vec![url.to_owned()]),
            namespace: "retry".to_owned(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(10),
            allow_no_persistence: false,
            assume_durability: None,
            migrate: true,
            plaintext: false,
            tls: Tls::default(),
        }
    }

    /// What tells this store's keys from others on the same server, `retry` unless told otherwise: 1 to 64 bytes of
    /// `[A-Za-z0-9._:/-]`. All keys begin with `{namespace}:`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Whether the URL names a node of a Redis Cluster, from which the others are found; no need to say it for a URL
    /// `redis-cluster://`. One store lives on one node, that of its
    /// namespace's slot.
    pub const fn cluster(mut self, cluster: bool) -> Self {
        self.cluster = cluster;
        self
    }

    /// One more node from which a cluster is found, should the others be down.
    pub fn node(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// How long setting up a connection may take, 5 s unless told otherwise, at least 100 ms.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long an answer may take, 10 s unless told otherwise, at least 100 ms. After it the call's outcome is unknown.
    pub const fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Takes a server that keeps nothing on disk as it should: without append-only file, or with one that is not synced by
    /// Redis. Such a server may lose every task when it or its machine stops. Refused unless allowed here.
    pub const fn allow_no_persistence(mut self, allow: bool) -> Self {
        self.allow_no_persistence = allow;
        self
    }

    /// What the server promises, where it may not be asked (managed servers that forbid `CONFIG`). You vouch for it.
    pub const fn assume_durability(mut self, durability: Durability) -> Self {
        self.assume_durability = Some(durability);
        self
    }

    /// Whether connecting marks an empty namespace as this store's (it does unless told otherwise). Without, a namespace that is
    /// not migrated is refused with a [`Schema`](retry_core::store::StoreErrorKind::Schema) error.
    pub const fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Allows a connection without TLS (`redis://`) to a host that is not this machine. Whoever is on the way can then read and
    /// change everything, the password included.
    pub const fn allow_plaintext(mut self, allow: bool) -> Self {
        self.plaintext = allow;
        self
    }

    /// The authority whose certificates are trusted (PEM), instead of those of the machine; for `rediss://`.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.root = Some(pem.into());
        self
    }

    /// The certificate and the key (PEM) by which this program proves who it is; for `rediss://`.
    pub fn client_certificate(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.tls.client = Some((certificate.into(), key.into()));
        self
    }

    /// Connects and looks whether the server can be trusted with tasks.
    ///
    /// # Errors
    /// [`OpenError::Config`] names the option that is wrong, [`OpenError::Refused`] what is wrong with the server's settings;
    /// [`OpenError::Store`] says why it cannot be used.
    pub async fn connect(self) -> Result<RedisStore, OpenError> {
        let config = self.check().map_err(OpenError::Config)?;
        RedisStore::start(config).await
    }

    pub(crate) fn check(self) -> Result<Config, ConfigError> {
        let nodes = self.urls.iter().map(|url| parse(url));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        if nodes.len() > 1 && !self.cluster {
            return Err(ConfigError::Nodes(nodes.len()));
        }
        if self.cluster && nodes.iter().any(|node| node.redis_settings().db() != 0) {
            return Err(ConfigError::Database);
        }
        if !self.plaintext && nodes.iter().any(goes_in_clear) {
            return Err(ConfigError::Plaintext);
        }
        if nodes.iter().any(|node| self.tls.open(node).is_err()) {
            return Err(ConfigError::Certificate);
        }
        for timeout in [self.connect_timeout, self.response_timeout] {
            if timeout < MIN_TIMEOUT {
                return Err(ConfigError::Timeout(timeout));
            }
        }
        Ok(Config {
            nodes,
            cluster: self.cluster,
            namespace: Namespace::new(&self.namespace)?,
            connect_timeout: self.connect_timeout,
            response_timeout: self.response_timeout,
            allow_no_persistence: self.allow_no_persistence,
            assume_durability: self.assume_durability,
            migrate: self.migrate,
            tls: self.tls,
            clock: Arc::new(SystemClock::new()),
        })
    }
}

fn parse(url: &str) -> Result<ConnectionInfo, ConfigError> {
    let behind = ["redis://", "rediss://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    if behind.is_some_and(|rest| !is_whole(rest)) {
        return Err(ConfigError::Url);
    }
    // The parser's error may quote the URL.
    url.into_connection_info().map_err(|_| ConfigError::Url)
}

/// What is said to it can be read on the way.
fn goes_in_clear(node: &ConnectionInfo) -> bool {
    matches!(node.addr(), ConnectionAddr::Tcp(host, _) if !is_this_machine(host))
}

/// The URLs of the nodes in `redis-cluster://user:password@host:port,host:port` (`rediss-cluster` for TLS).
fn cluster_urls(url: &str) -> Option<Vec<String>> {
    let (scheme, rest) = url.split_once("-cluster://")?;
    let (user, hosts) = match rest.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), rest),
    };
    let node = |host: &str| format!("{scheme}://{user}{host}");
    Some(hosts.split(',').map(node).collect())
}

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A URL is not of the form `redis://` or `rediss://user:password@host:port/database`.
    Url,
    /// This namespace.
    Namespace(String),
    /// This timeout.
    Timeout(Duration),
    /// So many nodes, but not a cluster.
    Nodes(usize),
    /// A cluster has database 0 only.
    Database,
    /// A certificate or key is not PEM, or does not fit.
    Certificate,
    /// A URL asks for no TLS to a host that is not this machine.
    Plaintext,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str(
                "the URL is not of the form redis://user:password@host:port/database (rediss:// for TLS, unix:///path for a \
                 socket, redis-cluster://host:port,host:port for a cluster), and a `/`, `?`, `#` or `@` of the password is written \
                 %2F, %3F, %23 or %40",
            ),
            Self::Namespace(name) => write!(
                f,
                "the namespace {name:?}; use 1 to {MAX_NAMESPACE_BYTES} letters, digits and . _ : / -"
            ),
            Self::Timeout(timeout) => {
                write!(f, "a timeout of {timeout:?}; choose {MIN_TIMEOUT:?} or more")
            }
            Self::Nodes(n) => write!(
                f,
                "{n} nodes, but not a cluster; name one server, or say `.cluster(true)`"
            ),
            Self::Database => f.write_str("a cluster has database 0 only; take the number out of the URL"),
            Self::Plaintext => f.write_str(
                "redis:// sends everything in clear to a host that is not this machine; use rediss://, or allow_plaintext if the \
                 network is trusted with every payload and the password",
            ),
            Self::Certificate => f.write_str("a certificate or key cannot be used; it must be PEM, and the key that of the certificate"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A setting of the server that would lose tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// It is older than Redis 7.
    Version(String),
    /// It is a replica: its writes are refused or lost.
    Replica,
    /// It may evict keys (`maxmemory-policy`), and tasks with them.
    Eviction(String),
    /// Nothing, or nothing regularly, is synced to disk.
    NoPersistence,
    /// `CONFIG` is forbidden, so it cannot be known when the append-only file is synced.
    UnknownPersistence,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "the server has version {version}; Redis 7 or Valkey is needed"),
            Self::Replica => f.write_str("the server is a replica; connect to the primary"),
            Self::Eviction(policy) => write!(
                f,
                "`maxmemory-policy` is {policy}, which drops tasks when memory is short; set it to noeviction"
            ),
            Self::NoPersistence => f.write_str(
                "the server keeps nothing safely on disk; set `appendonly yes` with `appendfsync always` or `everysec`, or, for \
                 tasks that may be lost, say `.allow_no_persistence(true)`",
            ),
            Self::UnknownPersistence => f.write_str(
                "the server does not tell when it syncs (CONFIG is forbidden); say what it promises with `.assume_durability(…)`",
            ),
        }
    }
}

impl std::error::Error for Refused {}

/// Why a store could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// An option cannot be used.
    Config(ConfigError),
    /// A setting of the server would lose tasks.
    Refused(Refused),
    /// The server cannot be used.
    Store(StoreError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) | Self::Refused(_) => None,
            Self::Store(error) => std::error::Error::source(error),
        }
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Config(error) => Self::invalid(error.to_string()).with_source(error),
            OpenError::Refused(error) => Self::invalid(error.to_string()).with_source(error),
            OpenError::Store(error) => error,
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> RedisBuilder {
        RedisBuilder::new("rediss://u:hunter2@nowhere:1/0")
    }

    fn error(builder: RedisBuilder) -> Option<ConfigError> {
        builder.check().err()
    }

    #[test]
    fn wrong_options_are_named_before_the_server_is_asked() {
        assert_eq!(error(builder()), None);
        for name in ["", "a b", "{a}", "é", &"x".repeat(65)] {
            assert_eq!(
                error(builder().namespace(name)),
                Some(ConfigError::Namespace(name.to_owned()))
            );
        }
        assert_eq!(error(builder().namespace("x".repeat(64))), None);
        let short = Duration::from_millis(99);
        assert_eq!(
            error(builder().connect_timeout(short)),
            Some(ConfigError::Timeout(short))
        );
        assert_eq!(
            error(builder().response_timeout(short)),
            Some(ConfigError::Timeout(short))
        );
        assert_eq!(
            error(builder().node("rediss://other:1")),
            Some(ConfigError::Nodes(2))
        );
        assert_eq!(
            error(RedisBuilder::new("rediss://h:1/3").cluster(true)),
            Some(ConfigError::Database)
        );
        assert_eq!(error(RedisBuilder::new("http://h:1")), Some(ConfigError::Url));
        assert_eq!(
            error(RedisBuilder::new("rediss://h:1").client_certificate("x", "y")),
            Some(ConfigError::Certificate)
        );
    }

    #[test]
    fn another_machine_is_spoken_to_over_tls_unless_it_is_said_otherwise() {
        for url in [
            "redis://db.example.org",
            "redis://u:p@10.0.0.1:6379/1",
            "redis://[2001:db8::1]",
            "redis-cluster://127.0.0.1:1,db.example.org:2",
        ] {
            assert_eq!(
                error(RedisBuilder::new(url)),
                Some(ConfigError::Plaintext),
                "{url}"
            );
            assert_eq!(error(RedisBuilder::new(url).allow_plaintext(true)), None);
        }
        for url in [
            "rediss://db.example.org",
            "redis://u:p@localhost",
            "redis://127.0.0.1:1",
            "redis://[::1]",
            "unix:///run/redis.sock",
        ] {
            assert_eq!(error(RedisBuilder::new(url)), None, "{url}");
        }
    }

    #[test]
    fn a_cluster_is_named_by_its_nodes() {
        let config = RedisBuilder::new("rediss-cluster://u:p@a:1,b:2").check().unwrap();
        assert!(config.cluster);
        assert_eq!(config.address(), "a:1,b:2");
        let users = config.nodes.iter().map(|node| node.redis_settings().password());
        assert_eq!(users.collect::<Vec<_>>(), [Some("p"); 2]);
        let config = RedisBuilder::new("rediss-cluster://a:1").check().unwrap();
        assert_eq!(config.nodes.len(), 1);
    }

    #[test]
    fn nothing_shows_a_password() {
        let config = builder().check().unwrap();
        let wrong = error(RedisBuilder::new("redis://u:hunter2@:x")).unwrap();
        for url in [
            "redis://u:12?hunter2@h",
            "redis://u:12/hunter2@h",
            "rediss://u:12#hunter2@h",
        ] {
            assert_eq!(error(RedisBuilder::new(url)), Some(ConfigError::Url), "{url}");
        }
        for text in [
            format!("{:?}", builder()),
            config.address(),
            format!("{wrong:?} {wrong}"),
        ] {
            assert!(!text.contains("hunter2"), "{text}");
        }
        assert_eq!(config.address(), "nowhere:1");
    }
}

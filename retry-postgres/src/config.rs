//! The options of a store, checked before a connection is opened.

mod address;

use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use retry_core::name::InvalidName;
use retry_core::seams::{Random, SystemRandom};
use retry_core::store::StoreError;
use retry_core::store::address::is_this_machine;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::connect;
use crate::schema_name::SchemaName;
use crate::store::PostgresStore;

/// Statements that a connection keeps prepared; more than the store has.
const STATEMENTS: usize = 128;

/// Checked options.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) schema: SchemaName,
    pub(crate) options: PgConnectOptions,
    pub(crate) max_connections: usize,
    pub(crate) pooler: bool,
    pub(crate) notify: bool,
    pub(crate) notify_in_tx: bool,
    pub(crate) migrate: bool,
    pub(crate) atomic_pages: bool,
    pub(crate) timeouts: Timeouts,
    pub(crate) random: Arc<dyn Random>,
}

/// Every bound in time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) acquire: Duration,
    pub(crate) statement: Duration,
    pub(crate) lock: Duration,
    pub(crate) call: Duration,
}

/// Options of a [`PostgresStore`], from [`PostgresStore::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct PostgresBuilder {
    url: String,
    schema: String,
    max_connections: usize,
    pooler: bool,
    plaintext: bool,
    atomic_pages: bool,
    notify: bool,
    notify_in_tx: bool,
    migrate: bool,
    timeouts: Timeouts,
    random: Arc<dyn Random>,
}

impl fmt::Debug for PostgresBuilder {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBuilder")
            .field("schema", &self.schema)
            .field("max_connections", &self.max_connections)
            .field("pooler", &self.pooler)
            .finish_non_exhaustive()
    }
}

impl PostgresBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            schema: "task_retry".to_owned(),
            max_connections: 8,
            pooler: false,
            plaintext: false,
            atomic_pages: false,
            notify: true,
            notify_in_tx: true,
            migrate: true,
            timeouts: Timeouts {
                connect: Duration::from_secs(10),
                acquire: Duration::from_secs(10),
                statement: Duration::from_secs(20),
                lock: Duration::from_secs(5),
                call: Duration::from_secs(30),
            },
            random: Arc::new(SystemRandom::new()),
        }
    }

    /// The schema that holds the tables, `task_retry` unless told otherwise: lower-case letters, digits and `_`, at most 40
    /// bytes. Stores in different schemas of one database never meet.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Connections for calls at most, 1 to 1,000, 8 unless told otherwise. Up to three more are reserved: one for the
    /// heartbeats of workers, so that no load can delay them, and two for hints, to tell and to hear.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// The URL leads to a pooler that shares connections between transactions, such as PgBouncer in transaction mode. Then
    /// nothing is kept on a connection: no prepared statements, settings inside each transaction, no listening for hints of
    /// other processes, which are met by polling.
    pub const fn pooler(mut self, pooler: bool) -> Self {
        self.pooler = pooler;
        self
    }

    /// Allows a connection without TLS, or without proof of who the server is, to a host that is not this machine. Whoever
    /// is on the way can then read and change everything, the password included.
    pub const fn allow_plaintext(mut self, allow: bool) -> Self {
        self.plaintext = allow;
        self
    }

    /// The server's file system, or its disk, writes a page whole or not at all even when the power fails, as ZFS does: then the
    /// server may have `full_page_writes` off. It is refused otherwise, because a page that was written half is lost for good. You
    /// vouch for it: nothing tells the store.
    pub const fn atomic_page_writes(mut self, atomic: bool) -> Self {
        self.atomic_pages = atomic;
        self
    }

    /// Whether other processes are told at once of due tasks (they are unless told otherwise), by `NOTIFY` after the commit on a
    /// connection of its own, for each queue at most once in 5 ms.
    pub const fn notify(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }

    /// Whether an insert inside a transaction of your own notifies in that transaction (it does unless told otherwise).
    /// PostgreSQL commits notifying transactions one at a time: turn it off when many of yours commit at once, and workers
    /// find those tasks by polling.
    pub const fn notify_in_tx(mut self, notify: bool) -> Self {
        self.notify_in_tx = notify;
        self
    }

    /// Whether connecting creates and upgrades the tables (it does unless told otherwise). Without, a database that is not
    /// migrated is refused with a [`Schema`](retry_core::store::StoreErrorKind::Schema) error.
    pub const fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// How long opening a connection takes at most, 10 s unless told otherwise.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.connect = timeout;
        self
    }

    /// How long a call waits for a connection while all are in use, 10 s unless told otherwise.
    pub const fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.acquire = timeout;
        self
    }

    /// How long one statement takes at most, 20 s unless told otherwise.
    pub const fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.statement = timeout;
        self
    }

    /// How long a statement waits for a lock at most, 5 s unless told otherwise.
    pub const fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.lock = timeout;
        self
    }

    /// How long a call takes at most from when it has a connection, 30 s unless told otherwise: it ends calls to a server
    /// that does not answer any more. It must be longer than the statement's.
    pub const fn call_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.call = timeout;
        self
    }

    /// The randomness that spreads repeated tries; the system's unless told otherwise.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// Connects, creating the tables if there are none.
    ///
    /// # Errors
    /// [`OpenError::Config`] names the option that is wrong; [`OpenError::Store`] says why the server cannot be used.
    pub async fn connect(self) -> Result<PostgresStore, OpenError> {
        let config = self.check().map_err(OpenError::Config)?;
        PostgresStore::start(config).await.map_err(OpenError::Store)
    }

    pub(crate) fn check(self) -> Result<Config, ConfigError> {
        let schema = SchemaName::new(&self.schema).ok_or(ConfigError::Schema)?;
        if !(1..=1_000).contains(&self.max_connections) {
            return Err(ConfigError::MaxConnections(self.max_connections));
        }
        let spans = self.timeouts;
        let all = [
            spans.connect,
            spans.acquire,
            spans.statement,
            spans.lock,
            spans.call,
        ];
        let range = Duration::from_millis(1)..=Duration::from_hours(1);
        if let Some(span) = all.into_iter().find(|span| !range.contains(span)) {
            return Err(ConfigError::Timeout(span));
        }
        if spans.call <= spans.statement || spans.statement < spans.lock {
            return Err(ConfigError::TimeoutOrder);
        }
        let url = address::checked(&self.url).ok_or(ConfigError::Url)?;
        let options = PgConnectOptions::from_str(&url).map_err(|_| ConfigError::Url)?;
        let options = secured(options, self.plaintext)?;
        let options = if self.pooler {
            // A pooler knows few settings at the start of a connection, and this is none of them.
            options.extra_float_digits(None).statement_cache_capacity(0)
        } else {
            let settings = connect::settings(spans.statement, spans.lock, spans.call);
            options
                .statement_cache_capacity(STATEMENTS)
                .options(settings)
                .options([("default_transaction_isolation", "read committed")])
        };
        Ok(Config {
            schema,
            options,
            max_connections: self.max_connections,
            pooler: self.pooler,
            notify: self.notify,
            notify_in_tx: self.notify && self.notify_in_tx,
            migrate: self.migrate,
            atomic_pages: self.atomic_pages,
            timeouts: self.timeouts,
            random: self.random,
        })
    }
}

/// Raises the security that the URL leaves open, and refuses what it lowers.
fn secured(options: PgConnectOptions, plaintext: bool) -> Result<PgConnectOptions, ConfigError> {
    if plaintext || is_here(&options) {
        return Ok(options);
    }
    match options.get_ssl_mode() {
        // The driver's default, which takes what it gets.
        PgSslMode::Prefer => Ok(options.ssl_mode(PgSslMode::VerifyFull)),
        PgSslMode::Disable | PgSslMode::Allow => Err(ConfigError::Plaintext),
        PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => Ok(options),
    }
}

fn is_here(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some() || host.starts_with('/') || is_this_machine(host)
}

impl Config {
    /// The server and the schema, as messages name them.
    pub(crate) fn place(&self) -> String {
        let options = &self.options;
        let database = options.get_database().unwrap_or(options.get_username());
        match options.get_socket() {
            Some(socket) => format!("{}/{database} schema {}", socket.display(), self.schema),
            None => format!(
                "{}:{}/{database} schema {}",
                options.get_host(),
                options.get_port(),
                self.schema
            ),
        }
    }
}

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is no `postgres://` URL. It is not shown: it may hold a password.
    Url,
    /// The name cannot be that of the schema.
    Schema,
    /// The name cannot be that of an outbox's table.
    Table,
    /// The name cannot be that of an outbox.
    Outbox(InvalidName),
    /// This many connections.
    MaxConnections(usize),
    /// This timeout.
    Timeout(Duration),
    /// A lock's timeout is longer than a statement's, or a statement's not shorter than a call's.
    TimeoutOrder,
    /// The URL asks for no TLS to a host that is not this machine.
    Plaintext,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str(
                "the URL cannot be used; it looks like postgres://user:password@host:5432/database?sslmode=verify-full, and \
                 a `/`, `?`, `#` or `@` of the password is written %2F, %3F, %23 or %40",
            ),
            Self::Schema => f.write_str(
                "a schema's name has lower-case letters, digits and _, no digit first, at most 40 bytes, and is none of \
                 PostgreSQL's own",
            ),
            Self::Table => f.write_str(
                "a table's name has lower-case letters, digits and _, no digit first, at most 40 bytes",
            ),
            Self::Outbox(error) => write!(f, "an outbox cannot have that name: {error}"),
            Self::MaxConnections(n) => write!(f, "{n} connections; choose 1 to 1,000"),
            Self::Timeout(span) => write!(f, "a timeout of {span:?}; choose a millisecond to an hour"),
            Self::TimeoutOrder => f.write_str(
                "a lock's timeout must not be longer than a statement's, which must be shorter than a call's",
            ),
            Self::Plaintext => f.write_str(
                "the URL turns TLS off for a host that is not this machine; use sslmode=verify-full, or allow_plaintext if \
                 the network is trusted with every payload and the password",
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Why a store could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// An option cannot be used.
    Config(ConfigError),
    /// The server cannot be used.
    Store(StoreError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) => None,
            Self::Store(error) => std::error::Error::source(error),
        }
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Config(error) => Self::invalid(error.to_string()).with_source(error),
            OpenError::Store(error) => error,
        }
    }
}

#[cfg(test)]
mod config_test;

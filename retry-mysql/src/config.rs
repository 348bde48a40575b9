//! The options of a store, checked before the server is asked anything.

mod address;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use retry_core::clock::{Clock, SystemClock};
use retry_core::name::InvalidName;
use retry_core::store::StoreError;
use retry_core::store::address::is_this_machine;
use sqlx::ConnectOptions as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use crate::queries::Tables;
use crate::store::MySqlStore;

/// How a connection is protected on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Tls {
    /// [`Verify`](Self::Verify) for a server on another machine; on this machine (a socket, or a loopback address) what the server
    /// offers.
    #[default]
    Auto,
    /// TLS, with the certificate and the host's name checked.
    Verify,
    /// TLS with any certificate: who can stand between the two machines can read and change everything.
    Unverified,
    /// No TLS: who can listen on the way reads the password and every payload.
    Plaintext,
}

/// Checked options.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) options: MySqlConnectOptions,
    pub(crate) tables: Tables,
    /// The server's address and the database, for messages; never the password.
    pub(crate) place: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) connections: usize,
    pub(crate) readers: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) lock_timeout: Duration,
    pub(crate) poll_interval: Option<Duration>,
    pub(crate) relaxed_durability: bool,
    pub(crate) migrate: bool,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The driver's options hold the password.
        f.debug_struct("Config")
            .field("place", &self.place)
            .field("prefix", &self.tables.prefix)
            .finish_non_exhaustive()
    }
}

/// Options of a [`MySqlStore`], from [`MySqlStore::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct MySqlBuilder {
    url: String,
    prefix: String,
    tls: Tls,
    ca: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    connections: usize,
    readers: usize,
    connect_timeout: Duration,
    call_timeout: Duration,
    lock_timeout: Duration,
    poll_interval: Option<Duration>,
    relaxed_durability: bool,
    migrate: bool,
}

impl fmt::Debug for MySqlBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address holds the password.
        f.debug_struct("MySqlBuilder")
            .field("prefix", &self.prefix)
            .field("tls", &self.tls)
            .field("connections", &self.connections)
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

impl MySqlBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: "retry_".to_owned(),
            tls: Tls::Auto,
            ca: None,
            clock: Arc::new(SystemClock::new()),
            connections: 8,
            readers: 2,
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(4),
            poll_interval: Some(Duration::from_millis(50)),
            relaxed_durability: false,
            migrate: true,
        }
    }

    /// What the names of the tables begin with, `retry_` unless told otherwise: 1 to 32 of `a-z`, `0-9` and `_`, not a digit first.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How connections are protected; [`Tls::Auto`] unless told otherwise.
    pub const fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// A file of certificates, in PEM, that are trusted instead of the system's.
    pub fn tls_ca(mut self, file: impl AsRef<Path>) -> Self {
        self.ca = Some(file.as_ref().to_owned());
        self
    }

    /// The clock that measures timeouts and pauses, the machine's unless told otherwise. The store's time is the server's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Connections for writing at most, 1 to 256, 8 unless told otherwise. There is one more for renewals alone, so that a busy
    /// store never costs a worker its lease.
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Connections for reading at most, 1 to 64, 2 unless told otherwise.
    pub const fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// How long a call waits for a connection while all are in use, and how long opening one takes at most, 10 s unless told
    /// otherwise. The first is answered by an error of kind [`Busy`](retry_core::store::StoreErrorKind::Busy), the second by
    /// one of kind [`Unavailable`](retry_core::store::StoreErrorKind::Unavailable).
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a call may take once it has a connection, 30 s unless told otherwise; one that takes longer is given up and its
    /// connection closed, which rolls it back. The server is told the same limit for each statement.
    pub const fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// How long a statement waits for a row that somebody else has locked, 1 s or more in whole seconds, 4 s unless told
    /// otherwise: well below a worker's lease of 15 s.
    pub const fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// How often the server is asked for new tasks of other processes while a worker waits, 50 ms unless told otherwise, none:
    /// never. It is one look at the newest id, and nothing on the way of those who write. Tasks of this process are told of
    /// at once, and workers look by themselves every second.
    pub const fn poll_interval(mut self, interval: Option<Duration>) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Accepts a server that may lose answered writes in a power cut (`innodb_flush_log_at_trx_commit` or `sync_binlog` is not
    /// 1), or cannot repair a page that was written half (`innodb_doublewrite` is not `ON`), which does no harm on a file system
    /// that never writes half a page, as ZFS. It is refused unless told otherwise.
    pub const fn relaxed_durability(mut self, accepted: bool) -> Self {
        self.relaxed_durability = accepted;
        self
    }

    /// Whether connecting creates and upgrades the tables (it does unless told otherwise). Without, a database that is not
    /// migrated is refused with a [`Schema`](retry_core::store::StoreErrorKind::Schema) error.
    pub const fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Connects, checks the server and its settings, and creates the tables if they are not there.
    ///
    /// Dropping the call leaves nothing half-done that the next one does not finish.
    ///
    /// # Errors
    /// [`OpenError::Config`] names the option that is wrong; [`OpenError::Store`] says why the server cannot be used.
    pub async fn connect(self) -> Result<MySqlStore, OpenError> {
        let config = self.check().map_err(OpenError::Config)?;
        MySqlStore::start(config).await.map_err(OpenError::Store)
    }

    pub(crate) fn check(self) -> Result<Config, ConfigError> {
        if !address::is_sound(&self.url) {
            return Err(ConfigError::Url);
        }
        // The driver's error could repeat the address, and with it the password.
        let options = MySqlConnectOptions::from_str(&self.url).map_err(|_| ConfigError::Url)?;
        let database = options.get_database().unwrap_or_default().to_owned();
        if !is_name(&database, 64, |c| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$')
        }) {
            return Err(ConfigError::Database(database));
        }
        if !is_name(&self.prefix, 32, |c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
        }) {
            return Err(ConfigError::Prefix(self.prefix));
        }
        bounds("connections", self.connections, 256)?;
        bounds("readers", self.readers, 64)?;
        let timeouts = [
            ("connect_timeout", self.connect_timeout, Duration::from_millis(1)),
            ("call_timeout", self.call_timeout, Duration::from_millis(1)),
            ("lock_timeout", self.lock_timeout, Duration::from_secs(1)),
            (
                "poll_interval",
                self.poll_interval.unwrap_or(Duration::MAX),
                Duration::from_millis(1),
            ),
        ];
        for (option, given, least) in timeouts {
            if given < least {
                return Err(ConfigError::TooShort { option, given, least });
            }
        }
        let place = place(&options, &database);
        let options = protect(options, self.tls, self.ca.as_deref(), &self.url)?;
        Ok(Config {
            // The driver logs the texts of slow statements, and with them what tasks carry.
            options: options
                .disable_statement_logging()
                .statement_cache_capacity(STATEMENTS)
                .timezone(None)
                .pipes_as_concat(false)
                .no_engine_substitution(false),
            tables: Tables {
                database,
                prefix: self.prefix,
            },
            place,
            clock: self.clock,
            connections: self.connections,
            readers: self.readers,
            connect_timeout: self.connect_timeout,
            call_timeout: self.call_timeout,
            lock_timeout: self.lock_timeout,
            poll_interval: self.poll_interval,
            relaxed_durability: self.relaxed_durability,
            migrate: self.migrate,
        })
    }
}

/// Statements that a connection keeps prepared: more than the store has.
const STATEMENTS: usize = 256;

fn is_name(name: &str, most: usize, allowed: impl Fn(char) -> bool) -> bool {
    (1..=most).contains(&name.len())
        && name.chars().all(allowed)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether an outbox's table may have this name.
pub(crate) fn is_table_name(name: &str) -> bool {
    is_name(name, 48, |c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
    })
}

fn bounds(option: &'static str, given: usize, most: usize) -> Result<(), ConfigError> {
    if (1..=most).contains(&given) {
        Ok(())
    } else {
        Err(ConfigError::Size { option, given, most })
    }
}

fn place(options: &MySqlConnectOptions, database: &str) -> String {
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

/// Whether connections to it leave the machine.
fn is_remote(options: &MySqlConnectOptions) -> bool {
    options.get_socket().is_none() && !is_this_machine(options.get_host())
}

fn protect(
    options: MySqlConnectOptions,
    tls: Tls,
    ca: Option<&Path>,
    url: &str,
) -> Result<MySqlConnectOptions, ConfigError> {
    let asked = url.contains("ssl-mode=") || url.contains("sslmode=");
    let mode = match (tls, is_remote(&options), options.get_ssl_mode()) {
        (Tls::Verify, ..) => MySqlSslMode::VerifyIdentity,
        (Tls::Unverified, ..) => MySqlSslMode::Required,
        (Tls::Plaintext, ..) => MySqlSslMode::Disabled,
        (Tls::Auto, true, MySqlSslMode::VerifyIdentity) => MySqlSslMode::VerifyIdentity,
        (Tls::Auto, true, _) if asked => return Err(ConfigError::Unprotected),
        (Tls::Auto, true, _) => MySqlSslMode::VerifyIdentity,
        (Tls::Auto, false, mode) => mode,
    };
    let options = options.ssl_mode(mode);
    Ok(match ca {
        Some(file) => options.ssl_ca(file),
        None => options,
    })
}

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The address is not of the form `mysql://user:password@host:port/database`.
    Url,
    /// The address names this database, or none.
    Database(String),
    /// This prefix of the tables' names.
    Prefix(String),
    /// This name of an outbox's table.
    Table(String),
    /// The name cannot be that of an outbox.
    Outbox(InvalidName),
    /// A number of connections.
    Size {
        /// The option.
        option: &'static str,
        /// What it was set to.
        given: usize,
        /// The most it may be.
        most: usize,
    },
    /// A span that is too short.
    TooShort {
        /// The option.
        option: &'static str,
        /// What it was set to.
        given: Duration,
        /// The least it may be.
        least: Duration,
    },
    /// The address asks for a weaker protection than the check of certificate and name, to a server on another machine.
    Unprotected,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str(
                "the address is not of the form mysql://user:password@host:port/database; a `/`, `?`, `#` or `@` of the \
                 password is written %2F, %3F, %23 or %40",
            ),
            Self::Database(name) if name.is_empty() => {
                f.write_str("the address names no database; append /name to it")
            }
            Self::Database(name) => write!(
                f,
                "the database `{name}`; use up to 64 of letters, digits, `_`, `-` and `$`, not a digit first"
            ),
            Self::Prefix(prefix) => write!(
                f,
                "the prefix `{prefix}`; use 1 to 32 of a-z, 0-9 and `_`, not a digit first"
            ),
            Self::Table(name) => write!(
                f,
                "the table `{name}`; use 1 to 48 of a-z, 0-9 and `_`, not a digit first"
            ),
            Self::Outbox(error) => write!(f, "an outbox cannot have that name: {error}"),
            Self::Size { option, given, most } => write!(f, "{given} {option}; choose 1 to {most}"),
            Self::TooShort { option, given, least } => write!(f, "{option} of {given:?}; choose {least:?} or more"),
            Self::Unprotected => f.write_str(
                "the address asks for a connection to another machine whose certificate is not checked; remove its ssl-mode, \
                 or say `tls(Tls::Unverified)` or `tls(Tls::Plaintext)`",
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Why a store could not be connected to.
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
mod tests {
    use super::*;

    fn mode(url: &str, tls: Tls) -> Result<MySqlSslMode, ConfigError> {
        let checked = MySqlBuilder::new(url).tls(tls).check();
        checked.map(|config| config.options.get_ssl_mode())
    }

    fn name(mode: MySqlSslMode) -> String {
        format!("{mode:?}")
    }

    #[test]
    fn another_machine_is_verified_unless_it_is_said_otherwise() {
        for host in [
            "db.example.org",
            "10.0.0.1",
            "[2001:db8::1]",
            "127.0.0.1.example.org",
        ] {
            let url = format!("mysql://u:p@{host}/shop");
            assert_eq!(name(mode(&url, Tls::Auto).unwrap()), "VerifyIdentity", "{host}");
            assert_eq!(name(mode(&url, Tls::Plaintext).unwrap()), "Disabled");
            assert_eq!(name(mode(&url, Tls::Unverified).unwrap()), "Required");
            for weaker in ["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA"] {
                for key in ["ssl-mode", "sslmode"] {
                    let url = format!("{url}?{key}={weaker}");
                    assert_eq!(
                        mode(&url, Tls::Auto).map(name),
                        Err(ConfigError::Unprotected),
                        "{url}"
                    );
                }
            }
            let url = format!("{url}?ssl-mode=VERIFY_IDENTITY");
            assert_eq!(name(mode(&url, Tls::Auto).unwrap()), "VerifyIdentity");
        }
    }

    #[test]
    fn this_machine_is_taken_as_it_is() {
        for host in ["localhost", "127.0.0.1", "127.8.9.1", "[::1]"] {
            let url = format!("mysql://u:p@{host}/shop");
            assert_eq!(name(mode(&url, Tls::Auto).unwrap()), "Preferred", "{host}");
            assert_eq!(name(mode(&url, Tls::Verify).unwrap()), "VerifyIdentity", "{host}");
        }
        let socket = "mysql://u:p@db.example.org/shop?socket=/run/mysqld/mysqld.sock";
        assert_eq!(name(mode(socket, Tls::Auto).unwrap()), "Preferred");
    }

    #[test]
    fn messages_name_the_place_without_its_secrets() {
        let config = MySqlBuilder::new("mysql://user:hunter2@db.example.org:3307/shop")
            .check()
            .unwrap();
        assert_eq!(config.place, "db.example.org:3307/shop");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}

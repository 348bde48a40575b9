//! The options of a store, checked before the file is touched.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use retry_core::clock::{Clock, SystemClock};
use retry_core::name::InvalidName;
use retry_core::store::{Durability, StoreError};

use crate::store::SqliteStore;

/// What a commit waits for, as SQLite's `synchronous` setting in WAL mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Synchronous {
    /// Each group of writes is on the disk before it is answered: nothing answered is lost in a power cut.
    #[default]
    Full,
    /// The log is brought to the disk twice a second. A power cut loses what was answered in the last second and never
    /// damages the file; a crash of the process loses nothing.
    Normal,
    /// Nothing is brought to the disk. A crash of the process loses nothing, but **a power cut may destroy the file**.
    /// For tests and data that can be made again.
    Off,
}

impl Synchronous {
    /// How long a write under [`Normal`](Self::Normal) may stay out of the disk.
    pub(crate) const NORMAL_WINDOW: Duration = Duration::from_secs(1);

    pub(crate) const fn pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
            Self::Off => "OFF",
        }
    }

    /// What the store promises under this setting.
    #[must_use]
    pub const fn durability(self) -> Durability {
        match self {
            Self::Full => Durability::Synced,
            Self::Normal => Durability::Periodic(Self::NORMAL_WINDOW),
            Self::Off => Durability::None,
        }
    }
}

/// Checked options.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) path: PathBuf,
    pub(crate) synchronous: Synchronous,
    pub(crate) busy_timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) readers: usize,
    pub(crate) poll_interval: Duration,
    pub(crate) wal_limit: u64,
    pub(crate) max_size: Option<u64>,
    pub(crate) migrate: bool,
}

impl Config {
    /// The write-ahead log.
    pub(crate) fn wal(&self) -> PathBuf {
        let mut wal = self.path.as_os_str().to_owned();
        wal.push("-wal");
        PathBuf::from(wal)
    }
}

/// Options of a [`SqliteStore`], from [`SqliteStore::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct SqliteBuilder {
    config: Config,
}

impl SqliteBuilder {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            config: Config {
                path: path.to_owned(),
                synchronous: Synchronous::Full,
                busy_timeout: Duration::from_secs(5),
                clock: Arc::new(SystemClock::new()),
                readers: 2,
                poll_interval: Duration::from_millis(10),
                wal_limit: 64 * 1024 * 1024,
                max_size: None,
                migrate: true,
            },
        }
    }

    /// What a commit waits for; [`Synchronous::Full`] unless told otherwise.
    pub const fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.config.synchronous = synchronous;
        self
    }

    /// How long a write waits for another program that holds the file's write lock, 5 s unless told otherwise.
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.config.busy_timeout = timeout;
        self
    }

    /// The clock that the store shows as its time, the machine's unless told otherwise.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.config.clock = clock;
        self
    }

    /// Connections for reading, each with a thread: 1 to 64, 2 unless told otherwise.
    pub const fn readers(mut self, readers: usize) -> Self {
        self.config.readers = readers;
        self
    }

    /// How often the file is checked for writes by other programs and connections while somebody waits for wake-ups, 10 ms
    /// unless told otherwise. A check costs a few microseconds.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.config.poll_interval = interval;
        self
    }

    /// The size in bytes above which the write-ahead log is emptied and cut, 64 MiB unless told otherwise, at least 1 MiB.
    pub const fn wal_limit(mut self, bytes: u64) -> Self {
        self.config.wal_limit = bytes;
        self
    }

    /// The size in bytes that the file may not exceed; without it the disk is the limit. A write that would exceed it is
    /// answered as [`Full`](retry_core::store::StoreErrorKind::Full).
    pub const fn max_size(mut self, bytes: u64) -> Self {
        self.config.max_size = Some(bytes);
        self
    }

    /// Whether opening creates and upgrades the tables (it does unless told otherwise). Without, a file that is not
    /// migrated is refused with a [`Schema`](retry_core::store::StoreErrorKind::Schema) error.
    pub const fn migrate(mut self, migrate: bool) -> Self {
        self.config.migrate = migrate;
        self
    }

    /// Opens the store, creating the file if there is none.
    ///
    /// It blocks for the time of a few file accesses.
    ///
    /// # Errors
    /// [`OpenError::Config`] names the option that is wrong; [`OpenError::Store`] says why the file cannot be used.
    pub fn build(self) -> Result<SqliteStore, OpenError> {
        let config = self.check().map_err(OpenError::Config)?;
        SqliteStore::start(config).map_err(OpenError::Store)
    }

    pub(crate) fn check(self) -> Result<Config, ConfigError> {
        check(&self.config)?;
        Ok(self.config)
    }
}

fn check(config: &Config) -> Result<(), ConfigError> {
    let memory = config.path == Path::new(":memory:") || config.path.as_os_str() == OsStr::new("");
    if memory {
        return Err(ConfigError::InMemory);
    }
    if !(1..=64).contains(&config.readers) {
        return Err(ConfigError::Readers(config.readers));
    }
    if config.poll_interval < Duration::from_millis(1) {
        return Err(ConfigError::PollInterval(config.poll_interval));
    }
    if config.wal_limit < 1024 * 1024 {
        return Err(ConfigError::WalLimit(config.wal_limit));
    }
    Ok(())
}

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The path stands for a database in memory.
    InMemory,
    /// This many readers.
    Readers(usize),
    /// This poll interval.
    PollInterval(Duration),
    /// This limit of the write-ahead log.
    WalLimit(u64),
    /// This name of an outbox's table.
    Table(String),
    /// The name cannot be that of an outbox.
    Outbox(InvalidName),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InMemory => f.write_str(
                "the path names a database in memory, which several connections cannot share; use `MemoryStore`",
            ),
            Self::Table(name) => write!(
                f,
                "the table `{name}`; use 1 to 48 of a-z, 0-9 and `_`, no digit and no `sqlite_` first"
            ),
            Self::Outbox(error) => write!(f, "an outbox cannot have that name: {error}"),
            Self::Readers(n) => write!(f, "{n} readers; choose 1 to 64"),
            Self::PollInterval(interval) => {
                write!(
                    f,
                    "a poll interval of {interval:?}; choose one millisecond or more"
                )
            }
            Self::WalLimit(bytes) => {
                write!(
                    f,
                    "a write-ahead log of {bytes} bytes; choose one mebibyte or more"
                )
            }
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
    /// The file cannot be used.
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

    #[test]
    fn wrong_options_are_named_before_the_file_is_touched() {
        let builder = || SqliteBuilder::new(Path::new("/nowhere/x.db"));
        let error = |builder: SqliteBuilder| check(&builder.config).unwrap_err();
        assert_eq!(error(builder().readers(0)), ConfigError::Readers(0));
        assert_eq!(error(builder().readers(65)), ConfigError::Readers(65));
        assert_eq!(error(builder().wal_limit(1)), ConfigError::WalLimit(1));
        assert_eq!(
            error(builder().poll_interval(Duration::ZERO)),
            ConfigError::PollInterval(Duration::ZERO)
        );
        for path in [":memory:", ""] {
            assert_eq!(error(SqliteBuilder::new(Path::new(path))), ConfigError::InMemory);
        }
        assert_eq!(check(&builder().config), Ok(()));
    }
}

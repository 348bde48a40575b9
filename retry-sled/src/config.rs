//! The options of a store, checked before the directory is touched.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use retry_core::clock::{Clock, SystemClock};
use retry_core::store::{StoreError, StoreErrorKind};

use crate::store::SledStore;

/// The smallest cache that sled works with sensibly: a few of its pages for each level of the tree.
const MIN_CACHE: u64 = 1024 * 1024;

/// The cache unless told otherwise. sled's own default is a gibibyte, too much to take unasked.
const CACHE: u64 = 128 * 1024 * 1024;

/// Checked options.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) path: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) readers: usize,
    pub(crate) cache: u64,
}

/// Options of a [`SledStore`], from [`SledStore::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct SledBuilder {
    config: Config,
}

impl SledBuilder {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            config: Config {
                path: path.to_owned(),
                clock: Arc::new(SystemClock::new()),
                readers: 2,
                cache: CACHE,
            },
        }
    }

    /// The clock that the store shows as its time, the machine's unless told otherwise.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.config.clock = clock;
        self
    }

    /// Threads for reading: 1 to 64, 2 unless told otherwise.
    pub const fn readers(mut self, readers: usize) -> Self {
        self.config.readers = readers;
        self
    }

    /// About how many bytes of the store sled keeps in memory, 128 MiB unless told otherwise, at least 1 MiB. The memory of
    /// the process grows beyond it: see the crate's limits.
    pub const fn cache(mut self, bytes: u64) -> Self {
        self.config.cache = bytes;
        self
    }

    /// Opens the store, creating the directory if there is none.
    ///
    /// It blocks while sled reads what it wrote since its last start: milliseconds for a small store, seconds for
    /// millions of tasks.
    ///
    /// # Errors
    /// [`OpenError::Config`] names the option that is wrong; [`OpenError::InUse`]: another process has the directory;
    /// [`OpenError::Store`] says why the directory cannot be used.
    pub fn build(self) -> Result<SledStore, OpenError> {
        SledStore::start(self.checked().map_err(OpenError::Config)?)
    }

    pub(crate) fn checked(self) -> Result<Config, ConfigError> {
        let config = self.config;
        if config.path.as_os_str().is_empty() {
            return Err(ConfigError::NoPath);
        }
        if !(1..=64).contains(&config.readers) {
            return Err(ConfigError::Readers(config.readers));
        }
        if config.cache < MIN_CACHE {
            return Err(ConfigError::Cache(config.cache));
        }
        Ok(config)
    }
}

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The path is empty.
    NoPath,
    /// This many readers.
    Readers(usize),
    /// This many bytes of cache.
    Cache(u64),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPath => f.write_str("the path is empty; name a directory for the store"),
            Self::Readers(n) => write!(f, "{n} readers; choose 1 to 64"),
            Self::Cache(bytes) => write!(f, "a cache of {bytes} bytes; choose one mebibyte or more"),
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
    /// Another process, or another store in this one, has this directory open.
    InUse(PathBuf),
    /// The directory cannot be used.
    Store(StoreError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::InUse(dir) => write!(
                f,
                "{}: another process, or another store in this one, has the directory open, and sled serves one process \
                 at a time; end the other, share one `SledStore` by cloning it, or choose the SQLite store, which \
                 several processes may open",
                dir.display()
            ),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) | Self::InUse(_) => None,
            Self::Store(error) => std::error::Error::source(error),
        }
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Config(error) => Self::invalid(error.to_string()).with_source(error),
            OpenError::InUse(_) => Self::rejected(StoreErrorKind::Unavailable, error.to_string()),
            OpenError::Store(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_options_are_named_before_the_directory_is_touched() {
        let builder = || SledBuilder::new(Path::new("/nowhere/tasks"));
        let error = |builder: SledBuilder| builder.checked().unwrap_err();
        assert_eq!(error(builder().readers(0)), ConfigError::Readers(0));
        assert_eq!(error(builder().readers(65)), ConfigError::Readers(65));
        assert_eq!(
            error(builder().cache(MIN_CACHE - 1)),
            ConfigError::Cache(MIN_CACHE - 1)
        );
        assert_eq!(error(SledBuilder::new(Path::new(""))), ConfigError::NoPath);
        assert!(builder().readers(64).cache(MIN_CACHE).checked().is_ok());
    }
}

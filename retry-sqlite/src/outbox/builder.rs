//! The options of an outbox, checked before the file is touched; opening it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use retry_core::outbox::OutboxName;
use retry_core::store::{StoreError, StoreErrorKind};
use rusqlite::Connection;

use super::queries::OutboxQueries;
use super::{Inner, SqliteOutbox, schema};
use crate::config::{Config, ConfigError, OpenError, SqliteBuilder};
use crate::connect;
use crate::error::{During, Outcome, file_error, store_error};
use crate::readers::Readers;

/// Options of a [`SqliteOutbox`], from [`SqliteOutbox::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct SqliteOutboxBuilder {
    name: String,
    path: PathBuf,
    table: String,
    migrate: bool,
}

impl SqliteOutboxBuilder {
    pub(super) fn new(name: &str, path: &Path) -> Self {
        Self {
            name: name.to_owned(),
            path: path.to_owned(),
            table: "retry_outbox".to_owned(),
            migrate: true,
        }
    }

    /// The table, `retry_outbox` unless told otherwise: 1 to 48 of `a-z`, `0-9` and `_`, not a digit first, not `sqlite_` first.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Whether opening creates the file and the table (it does unless told otherwise). Without, a file that has none is refused
    /// with a [`Schema`](StoreErrorKind::Schema) error. A table that is another is refused either way.
    pub const fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// The statement that creates the table, for a program that migrates its file itself.
    ///
    /// # Errors
    /// The table cannot have this name.
    pub fn ddl(&self) -> Result<String, ConfigError> {
        Ok(self.queries()?.create)
    }

    /// Opens the outbox, creating the file and the table if there are none. Nothing else about the file is changed, its journal
    /// mode neither.
    ///
    /// It blocks for the time of a few file accesses, and waits up to five seconds for somebody who is writing.
    ///
    /// # Errors
    /// [`OpenError::Config`] names the option that is wrong; [`OpenError::Store`] says why the file or the table cannot be used.
    pub fn build(self) -> Result<SqliteOutbox, OpenError> {
        let name = OutboxName::new(self.name.as_str());
        let name = name.map_err(|error| OpenError::Config(ConfigError::Outbox(error)))?;
        let sql = self.queries().map_err(OpenError::Config)?;
        let config = SqliteBuilder::new(&self.path)
            .migrate(self.migrate)
            .check()
            .map_err(OpenError::Config)?;
        let path = connect::resolve(&config.path).map_err(OpenError::Store)?;
        let config = Config { path, ..config };
        let conn = self.open(&config, &sql).map_err(OpenError::Store)?;
        let spawned = |error| {
            let message = "a thread of the outbox could not be started";
            StoreError::rejected(StoreErrorKind::Unavailable, message).with_source(error)
        };
        let thread = Readers::start(vec![conn]).map_err(|error| OpenError::Store(spawned(error)))?;
        Ok(SqliteOutbox {
            inner: Arc::new(Inner {
                name,
                path: config.path,
                sql: Arc::new(sql),
                thread,
            }),
        })
    }

    fn queries(&self) -> Result<OutboxQueries, ConfigError> {
        OutboxQueries::new(&self.table).ok_or_else(|| ConfigError::Table(self.table.clone()))
    }

    fn open(&self, config: &Config, sql: &OutboxQueries) -> Result<Connection, StoreError> {
        let path = &config.path;
        if self.migrate {
            let remedy = "the file cannot be created; check the rights of its directory";
            connect::create_file(path).map_err(|error| file_error(error, path, remedy))?;
        } else if !path.exists() {
            let message = format!(
                "{}: there is no such file; open the outbox once with migrations on",
                path.display()
            );
            return Err(StoreError::rejected(StoreErrorKind::Schema, message));
        }
        let open = || -> Outcome<Connection> {
            let conn = connect::open(config)?;
            // A removal that a power cut undid would be handed over twice: it is on the disk when it is answered.
            connect::users(&conn, config)?;
            connect::plan_once(&conn)?;
            schema::make_sure(&conn, path, sql, self.migrate)?;
            Ok(conn)
        };
        open().map_err(|fault| store_error(fault, During::Open, path))
    }
}

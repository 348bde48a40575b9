//! The options of an outbox, checked before the server is asked anything.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use retry_core::clock::Clock;
use retry_core::outbox::OutboxName;

use super::queries::OutboxQueries;
use super::{Inner, MySqlOutbox, schema};
use crate::config::{ConfigError, MySqlBuilder, OpenError, Tls, is_table_name};
use crate::store::MySqlStore;

/// Connections of each kind: one hands over, one looks what waits.
const CONNECTIONS: usize = 2;

/// Options of a [`MySqlOutbox`], from [`MySqlOutbox::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct MySqlOutboxBuilder {
    name: String,
    table: String,
    migrate: bool,
    /// What is as with a store: the server, how it is reached, and every bound in time.
    server: MySqlBuilder,
}

impl MySqlOutboxBuilder {
    pub(super) fn new(name: &str, url: &str) -> Self {
        Self {
            name: name.to_owned(),
            table: "retry_outbox".to_owned(),
            migrate: true,
            server: MySqlBuilder::new(url)
                .connections(CONNECTIONS)
                .readers(CONNECTIONS),
        }
    }

    /// The table, `retry_outbox` unless told otherwise: 1 to 48 of `a-z`, `0-9` and `_`, not a digit first.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Whether connecting creates the table (it does unless told otherwise). Without, a database that has none is refused with a
    /// [`Schema`](retry_core::store::StoreErrorKind::Schema) error. A table that is another is refused either way.
    pub const fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// As [`MySqlBuilder::tls`].
    pub fn tls(mut self, tls: Tls) -> Self {
        self.server = self.server.tls(tls);
        self
    }

    /// As [`MySqlBuilder::tls_ca`].
    pub fn tls_ca(mut self, file: impl AsRef<Path>) -> Self {
        self.server = self.server.tls_ca(file);
        self
    }

    /// As [`MySqlBuilder::clock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.server = self.server.clock(clock);
        self
    }

    /// How long a call of the relay waits for a connection, 10 s unless told otherwise.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.server = self.server.connect_timeout(timeout);
        self
    }

    /// How long a call of the relay may take once it has a connection, 30 s unless told otherwise; the server is told the same
    /// limit for each statement.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.server = self.server.call_timeout(timeout);
        self
    }

    /// How long a statement of the relay waits for a row that somebody else has locked, 1 s or more in whole seconds, 4 s unless
    /// told otherwise.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.server = self.server.lock_timeout(timeout);
        self
    }

    /// Accepts a server that may lose answered writes in a power cut, as [`MySqlBuilder::relaxed_durability`]. A power cut may then
    /// bring back rows that were handed over, and their tasks are handed over again.
    pub fn relaxed_durability(mut self, accepted: bool) -> Self {
        self.server = self.server.relaxed_durability(accepted);
        self
    }

    /// The statement that creates the table in the database of the URL, for a program that migrates its database itself.
    ///
    /// # Errors
    /// The URL or the table's name cannot be used.
    pub fn ddl(&self) -> Result<String, ConfigError> {
        Ok(self.queries()?.0.create.text().as_str().to_owned())
    }

    /// Connects, checks the server and its settings, and creates the table if it is not there.
    ///
    /// # Errors
    /// [`OpenError::Config`] names the option that is wrong; [`OpenError::Store`] says why the server or the table cannot be
    /// used.
    pub async fn connect(self) -> Result<MySqlOutbox, OpenError> {
        let name = OutboxName::new(self.name.as_str());
        let name = name.map_err(|error| OpenError::Config(ConfigError::Outbox(error)))?;
        let (sql, config) = self.queries().map_err(OpenError::Config)?;
        let place = config.place.clone();
        let server = MySqlStore::reach(config).await.map_err(OpenError::Store)?;
        let inner = Inner {
            name,
            server,
            sql: Arc::new(sql),
            place,
        };
        schema::make_sure(&inner, self.migrate)
            .await
            .map_err(OpenError::Store)?;
        Ok(MySqlOutbox {
            inner: Arc::new(inner),
        })
    }

    /// The statements, and the options of the connections.
    fn queries(&self) -> Result<(OutboxQueries, crate::config::Config), ConfigError> {
        if !is_table_name(&self.table) {
            return Err(ConfigError::Table(self.table.clone()));
        }
        let mut config = self.server.clone().check()?;
        let sql = OutboxQueries::new(&config.tables.database, &self.table);
        config.place = format!("{} table {}", config.place, self.table);
        Ok((sql, config))
    }
}

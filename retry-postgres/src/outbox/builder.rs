//! The options of an outbox, checked before a connection is opened.

use std::sync::Arc;
use std::time::Duration;

use retry_core::outbox::OutboxName;

use super::{Inner, PostgresOutbox, schema};
use crate::call::{Calls, Form};
use crate::config::{ConfigError, OpenError, PostgresBuilder};
use crate::connect::{self, Connector};
use crate::pool::Pool;
use crate::queries::{self, OutboxQueries, Queries, TableName};
use crate::schema_name::SchemaName;
use crate::store::MAX_REST;

/// Connections of a relay at most: one hands over, one looks what waits.
const CONNECTIONS: usize = 2;

/// Options of a [`PostgresOutbox`], from [`PostgresOutbox::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct PostgresOutboxBuilder {
    name: String,
    schema: String,
    table: String,
    migrate: bool,
    /// What is as with a store: the server, how it is reached, and every bound in time.
    server: PostgresBuilder,
}

impl PostgresOutboxBuilder {
    pub(super) fn new(name: &str, url: &str) -> Self {
        Self {
            name: name.to_owned(),
            schema: "public".to_owned(),
            table: "retry_outbox".to_owned(),
            migrate: true,
            server: PostgresBuilder::new(url).max_connections(CONNECTIONS),
        }
    }

    /// The schema that holds the table, `public` unless told otherwise: lower-case letters, digits and `_`, at most 40 bytes.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// The table, `retry_outbox` unless told otherwise, in the same letters.
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

    /// As [`PostgresBuilder::pooler`]; it holds for the connections on which rows are written as well.
    pub fn pooler(mut self, pooler: bool) -> Self {
        self.server = self.server.pooler(pooler);
        self
    }

    /// As [`PostgresBuilder::allow_plaintext`].
    pub fn allow_plaintext(mut self, allow: bool) -> Self {
        self.server = self.server.allow_plaintext(allow);
        self
    }

    /// As [`PostgresBuilder::atomic_page_writes`].
    pub fn atomic_page_writes(mut self, atomic: bool) -> Self {
        self.server = self.server.atomic_page_writes(atomic);
        self
    }

    /// How long opening a connection takes at most, 10 s unless told otherwise.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.server = self.server.connect_timeout(timeout);
        self
    }

    /// How long a statement of the relay takes at most, 20 s unless told otherwise.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.server = self.server.statement_timeout(timeout);
        self
    }

    /// How long a statement of the relay waits for a lock at most, 5 s unless told otherwise.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.server = self.server.lock_timeout(timeout);
        self
    }

    /// How long a call of the relay takes at most from when it has a connection, 30 s unless told otherwise: it ends calls to
    /// a server that does not answer any more. It must be longer than the statement's.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.server = self.server.call_timeout(timeout);
        self
    }

    /// The statement that creates the table, for a program that migrates its database itself.
    ///
    /// # Errors
    /// A name cannot be used.
    pub fn ddl(&self) -> Result<String, ConfigError> {
        let sql = OutboxQueries::new(&self.table_name()?);
        Ok(sql.create.as_str().to_owned())
    }

    /// Connects, creating the table if there is none.
    ///
    /// # Errors
    /// [`OpenError::Config`] names the option that is wrong; [`OpenError::Store`] says why the server or the table cannot be
    /// used.
    pub async fn connect(self) -> Result<PostgresOutbox, OpenError> {
        let outbox = self.check().map_err(OpenError::Config)?;
        let (sql, migrate) = (Arc::clone(&outbox.inner.sql), self.migrate);
        let form = if migrate { Form::Transaction } else { Form::Read };
        let ready = outbox.call(form, move |tx| {
            let sql = Arc::clone(&sql);
            Box::pin(async move { schema::make_sure(tx, &sql, migrate).await })
        });
        ready.await.map_err(OpenError::Store)?;
        Ok(outbox)
    }

    fn table_name(&self) -> Result<TableName, ConfigError> {
        Ok(TableName {
            schema: SchemaName::new(&self.schema).ok_or(ConfigError::Schema)?,
            table: SchemaName::new(&self.table).ok_or(ConfigError::Table)?,
        })
    }

    fn check(&self) -> Result<PostgresOutbox, ConfigError> {
        let name = OutboxName::new(self.name.as_str()).map_err(ConfigError::Outbox)?;
        let table = self.table_name()?;
        let config = self.server.clone().schema(&self.schema).check()?;
        let place: Arc<str> = format!("{} table {}", config.place(), table.table).into();
        let queries = Arc::new(Queries::new(&config.schema));
        let spans = config.timeouts;
        let settings = if config.pooler {
            connect::settings(spans.statement, spans.lock, spans.call)
        } else {
            Vec::new()
        };
        let connector = Connector::new(&config, place.to_string());
        let pool = Pool::new(
            connector,
            Arc::clone(&queries),
            config.max_connections,
            spans.acquire,
        );
        let pool = Arc::new(pool);
        pool.close_resting_for(MAX_REST);
        let calls = Calls {
            queries,
            random: config.random,
            place,
            begin: queries::begin_with(&settings),
            pooler: config.pooler,
            limit: spans.call,
        };
        let inner = Inner {
            name,
            calls,
            pool,
            sql: Arc::new(OutboxQueries::new(&table)),
        };
        Ok(PostgresOutbox {
            inner: Arc::new(inner),
        })
    }
}

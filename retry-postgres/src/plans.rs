//! What the tests of plans need to see of the inside. Not part of the crate's interface.

use std::time::Duration;

use crate::connect;
use crate::queries::{OutboxQueries, Queries, TableName};
use crate::schema_name::SchemaName;

/// The statements of the store in `schema`, with their names.
///
/// # Panics
/// The name is none of a schema.
#[must_use]
pub fn statements(schema: &str) -> Vec<(&'static str, String)> {
    let schema = SchemaName::new(schema).expect("a schema name");
    Queries::new(&schema).all()
}

/// The statement that reads an outbox.
///
/// # Panics
/// A name cannot be used.
#[must_use]
pub fn outbox_next(schema: &str, table: &str) -> String {
    let name = |name| SchemaName::new(name).expect("a name");
    let (schema, table) = (name(schema), name(table));
    OutboxQueries::new(&TableName { schema, table })
        .next
        .as_str()
        .to_owned()
}

/// The settings of every transaction of the store.
#[must_use]
pub fn settings() -> Vec<(&'static str, String)> {
    let span = Duration::from_secs(20);
    connect::settings(span, span, span)
}

//! What the tests of plans need to see of the inside. Not part of the crate's interface.

use std::time::Duration;

use crate::connect;
use crate::queries::Queries;
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

/// The settings of every transaction of the store.
#[must_use]
pub fn settings() -> Vec<(&'static str, String)> {
    let span = Duration::from_secs(20);
    connect::settings(span, span, span)
}

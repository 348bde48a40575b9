//! The name of the schema in which a store's tables are.

use std::fmt;

/// Bytes in a schema's name: leaves room for the name of a channel before PostgreSQL's limit of 63.
const MAX_BYTES: usize = 40;

/// A schema name that needs no quoting and cannot be anything else: a lower-case letter or `_`, then lower-case letters,
/// digits and `_`, at most 40 bytes, not one of PostgreSQL's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SchemaName(String);

impl SchemaName {
    /// Checks a name.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let rest = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let own = name.starts_with("pg_") || name == "information_schema";
        (first && rest && !own && name.len() <= MAX_BYTES).then(|| Self(name.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as it stands in a statement.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }

    /// The channel of its hints.
    pub(crate) fn channel(&self) -> String {
        format!("task_retry_{}", self.0)
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        let longest = "a".repeat(MAX_BYTES);
        for name in ["a", "_", "task_retry", "q9", longest.as_str()] {
            assert!(SchemaName::new(name).is_some(), "{name}");
        }
        let too_long = "a".repeat(MAX_BYTES + 1);
        for name in [
            "",
            "9a",
            "A",
            "a-b",
            "a b",
            "a.b",
            "a\"",
            "a'; DROP SCHEMA public",
            "a\0",
            "é",
            "pg_catalog",
            "information_schema",
            too_long.as_str(),
        ] {
            assert!(SchemaName::new(name).is_none(), "{name}");
        }
    }
}

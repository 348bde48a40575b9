//! The table of an outbox: created, and refused when it is another one.

use std::path::Path;

use retry_core::store::{StoreError, StoreErrorKind};
use rusqlite::Connection;

use super::queries::{COLUMNS, OutboxQueries};
use crate::error::Outcome;

/// The columns that the statements need, and their types.
const NEEDED: [(&str, &str); 6] = [
    ("seq", "INTEGER"),
    ("id", "BLOB"),
    ("kind", "TEXT"),
    ("created_at", "INTEGER"),
    ("body", "TEXT"),
    ("set_aside", "TEXT"),
];

/// A column as it is.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    kind: String,
    takes_null: bool,
    /// It has a value also when none is named.
    is_filled: bool,
    /// It is the primary key, and never gives a number twice.
    numbers: bool,
}

/// Makes sure that the table is there, and that it is an outbox's.
pub(super) fn make_sure(conn: &Connection, file: &Path, sql: &OutboxQueries, migrate: bool) -> Outcome<()> {
    let mut found = columns(conn, sql)?;
    if found.is_empty() && migrate {
        // Another program may just have done it: then this does nothing.
        conn.execute_batch(&sql.create)?;
        found = columns(conn, sql)?;
    }
    match fault(&found) {
        None => Ok(()),
        Some(fault) => {
            let message = format!(
                "{}: `{}` cannot be the table of an outbox: {fault}",
                file.display(),
                sql.table
            );
            Err(StoreError::rejected(StoreErrorKind::Schema, message).into())
        }
    }
}

fn columns(conn: &Connection, sql: &OutboxQueries) -> Outcome<Vec<Column>> {
    let mut statement = conn.prepare(COLUMNS)?;
    let columns = statement.query_map([&sql.table], |row| {
        Ok(Column {
            name: row.get(0)?,
            kind: row.get(1)?,
            takes_null: row.get(2)?,
            is_filled: row.get(3)?,
            numbers: row.get(4)?,
        })
    })?;
    Ok(columns.collect::<rusqlite::Result<_>>()?)
}

/// Why a table with these columns cannot be used.
fn fault(found: &[Column]) -> Option<String> {
    if found.is_empty() {
        let missing =
            "it does not exist; open the outbox with migrations on, or run the statement that `ddl` gives";
        return Some(missing.to_owned());
    }
    let named = |name: &str| found.iter().find(|column| column.name == name);
    for (name, kind) in NEEDED {
        match named(name) {
            None => {
                return Some(format!(
                    "it has no column `{name}`; choose another name for the outbox's"
                ));
            }
            Some(column) if !column.kind.eq_ignore_ascii_case(kind) => {
                return Some(format!("its column `{name}` is {}, not {kind}", column.kind));
            }
            Some(_) => {}
        }
    }
    if !named("seq").is_some_and(|seq| seq.numbers) {
        return Some("its column `seq` is not a primary key with AUTOINCREMENT".to_owned());
    }
    if !named("set_aside").is_some_and(|column| column.takes_null) {
        return Some("its column `set_aside` does not take NULL".to_owned());
    }
    let is_ours = |name: &str| NEEDED.iter().any(|(ours, _)| *ours == name);
    let needed = |column: &&Column| !column.takes_null && !column.is_filled && !is_ours(&column.name);
    let foreign = found.iter().find(needed)?;
    Some(format!(
        "its column `{}` is not the outbox's and needs a value; give it a default",
        foreign.name
    ))
}

//! The table of an outbox: created, and refused when it is another one.

use retry_core::store::{StoreError, StoreErrorKind};
use sqlx::postgres::PgRow;

use crate::error::Outcome;
use crate::insert::altered;
use crate::queries::OutboxQueries;
use crate::record::{self, Read};
use crate::tx::Tx;

/// The columns that the statements need, and their types.
const COLUMNS: [(&str, &str); 6] = [
    ("seq", "bigint"),
    ("id", "uuid"),
    ("kind", "text"),
    ("created_at", "bigint"),
    ("body", "text"),
    ("set_aside", "text"),
];

/// A column as it is.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    kind: String,
    takes_null: bool,
    /// It has a value also when none is named.
    is_filled: bool,
    is_key: bool,
    /// Its table outlives a crash of the server.
    is_logged: bool,
    /// The sequence behind it, if there is one, counts up for all sessions together.
    is_in_order: bool,
}

/// Makes sure that the table is there, and that it is an outbox's.
pub(super) async fn make_sure(tx: &mut Tx<'_>, sql: &OutboxQueries, migrate: bool) -> Outcome<()> {
    let mut found = columns(tx, sql).await?;
    if found.is_empty() && migrate {
        let statement = tx.query(&tx.sql.schema_lock).bind(sql.table.clone());
        tx.rows(statement).await?;
        // Another program may just have done it: then this does nothing.
        create_schema(tx, sql).await?;
        tx.batch(&sql.create).await?;
        found = columns(tx, sql).await?;
    }
    match fault(&found) {
        None => Ok(()),
        Some(fault) => {
            let message = format!("{} cannot be the table of an outbox: {fault}", sql.table);
            Err(StoreError::rejected(StoreErrorKind::Schema, message).into())
        }
    }
}

async fn columns(tx: &mut Tx<'_>, sql: &OutboxQueries) -> Outcome<Vec<Column>> {
    let statement = tx.query(&sql.columns).bind(sql.table.clone());
    let rows = tx.rows(statement).await?;
    let columns = rows.iter().map(column).collect::<Read<_>>();
    Ok(columns.map_err(altered)?)
}

fn column(row: &PgRow) -> Read<Column> {
    Ok(Column {
        name: record::value(row, 0)?,
        kind: record::value(row, 1)?,
        takes_null: record::value(row, 2)?,
        is_filled: record::value(row, 3)?,
        is_key: record::value(row, 4)?,
        is_logged: record::value(row, 5)?,
        is_in_order: record::value(row, 6)?,
    })
}

/// Creates the schema if there is none. To say so where it is would need a right that a role may lack.
async fn create_schema(tx: &mut Tx<'_>, sql: &OutboxQueries) -> Outcome<()> {
    let statement = tx.query(&tx.sql.schema_found).bind(sql.schema.clone());
    let row = tx.row(statement).await?;
    let is_there = row
        .map_or(Ok(false), |row| record::value(&row, 0))
        .map_err(altered)?;
    if !is_there {
        let sql = tx.sql.create_schema.clone();
        tx.batch(&sql).await?;
    }
    Ok(())
}

/// Why a table with these columns cannot be used.
fn fault(found: &[Column]) -> Option<String> {
    if found.is_empty() {
        let missing = "it does not exist; connect with migrations on, or run the statement that `ddl` gives";
        return Some(missing.to_owned());
    }
    let named = |name: &str| found.iter().find(|column| column.name == name);
    for (name, kind) in COLUMNS {
        match named(name) {
            None => {
                return Some(format!(
                    "it has no column `{name}`; choose another name for the outbox's"
                ));
            }
            Some(column) if column.kind != kind => {
                return Some(format!("its column `{name}` is {}, not {kind}", column.kind));
            }
            Some(_) => {}
        }
    }
    if !named("seq").is_some_and(|seq| seq.is_key && seq.is_filled) {
        return Some("its column `seq` is not a primary key that numbers the rows".to_owned());
    }
    if !named("seq").is_some_and(|seq| seq.is_in_order) {
        let order = "the sequence of its column `seq` loses the order of the rows; ALTER it to CACHE 1 INCREMENT 1 NO CYCLE";
        return Some(order.to_owned());
    }
    if !named("set_aside").is_some_and(|column| column.takes_null) {
        return Some("its column `set_aside` does not take NULL".to_owned());
    }
    if found.iter().any(|column| !column.is_logged) {
        return Some("it is unlogged or temporary: a crash of the server would empty it".to_owned());
    }
    let is_ours = |name: &str| COLUMNS.iter().any(|(ours, _)| *ours == name);
    let needed = |column: &&Column| !column.takes_null && !column.is_filled && !is_ours(&column.name);
    let foreign = found.iter().find(needed)?;
    Some(format!(
        "its column `{}` is not the outbox's and needs a value; give it a default",
        foreign.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Vec<Column> {
        let column = |(name, kind): (&str, &str)| Column {
            name: name.to_owned(),
            kind: kind.to_owned(),
            takes_null: name == "set_aside",
            is_filled: name == "seq",
            is_key: name == "seq",
            is_logged: true,
            is_in_order: true,
        };
        COLUMNS.into_iter().map(column).collect()
    }

    fn after(change: impl FnOnce(&mut Vec<Column>)) -> Option<String> {
        let mut columns = sound();
        change(&mut columns);
        fault(&columns)
    }

    #[test]
    fn each_fault_is_named() {
        assert_eq!(after(|_| ()), None);
        for (fault, named) in [
            (after(Vec::clear), "does not exist"),
            (after(|c| drop(c.remove(3))), "no column `created_at`"),
            (after(|c| c[4].kind = "bytea".to_owned()), "`body` is bytea"),
            (after(|c| c[0].is_key = false), "primary key"),
            (after(|c| c[0].is_filled = false), "primary key"),
            (after(|c| c[0].is_in_order = false), "CACHE 1"),
            (after(|c| c[5].takes_null = false), "NULL"),
            (after(|c| c[1].is_logged = false), "unlogged"),
        ] {
            assert!(
                fault.as_ref().is_some_and(|fault| fault.contains(named)),
                "{fault:?}"
            );
        }
    }

    #[test]
    fn a_column_of_the_users_own_needs_a_default() {
        let own = |takes_null, is_filled| Column {
            name: "tenant".to_owned(),
            takes_null,
            is_filled,
            ..sound().remove(1)
        };
        for (takes_null, is_filled) in [(true, false), (false, true)] {
            assert_eq!(after(|c| c.push(own(takes_null, is_filled))), None);
        }
        let fault = after(|c| c.push(own(false, false))).unwrap();
        assert!(fault.contains("`tenant`"), "{fault}");
    }
}

//! The table of an outbox: created, and refused when it is another one.

use std::sync::Arc;

use retry_core::store::{Result, StoreError, StoreErrorKind};
use sqlx::mysql::MySqlRow;

use super::{Inner, damaged};
use crate::args::Args;
use crate::error::Outcome;
use crate::record::{self, Read};

/// The columns that the statements need, and their types.
const COLUMNS: [(&str, &str); 7] = [
    ("seq", "bigint"),
    ("id", "binary(16)"),
    ("kind", "varchar"),
    ("created_at", "bigint"),
    ("bytes", "int"),
    ("body", "mediumtext utf8mb4"),
    ("set_aside", "text utf8mb4"),
];

/// A column as it is.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    kind: String,
    takes_null: bool,
    /// It has a value also when none is named.
    is_filled: bool,
    /// It is the first of the primary key, and the server numbers it.
    numbers: bool,
    engine: String,
}

/// Makes sure that the table is there, and that it is an outbox's.
pub(super) async fn make_sure(inner: &Inner, migrate: bool) -> Result<()> {
    let mut found = columns(inner).await?;
    if found.is_empty() && migrate {
        let sql = Arc::clone(&inner.sql);
        // Another program may just have done it: then this does nothing.
        let create = inner.server.write_at_once(move |db, _| {
            let sql = Arc::clone(&sql);
            Box::pin(async move {
                sqlx::raw_sql(sql.create.text()).execute(&mut *db.conn).await?;
                Ok(())
            })
        });
        create.await?;
        found = columns(inner).await?;
    }
    match fault(&found) {
        None => Ok(()),
        Some(fault) => {
            let message = format!("{}: this cannot be the table of an outbox: {fault}", inner.place);
            Err(StoreError::rejected(StoreErrorKind::Schema, message))
        }
    }
}

async fn columns(inner: &Inner) -> Result<Vec<Column>> {
    let sql = Arc::clone(&inner.sql);
    let work = inner.server.read(move |mut db, _| {
        let sql = Arc::clone(&sql);
        Box::pin(async move {
            let args = Args::new().with(sql.database.as_str()).with(sql.table.as_str());
            let rows = db.rows(&sql.columns, args).await?;
            rows.iter().map(column).collect::<Outcome<_>>()
        })
    });
    work.await
}

fn column(row: &MySqlRow) -> Outcome<Column> {
    let read = || -> Read<Column> {
        Ok(Column {
            name: record::text(row, 0)?.to_owned(),
            kind: record::text(row, 1)?.to_lowercase(),
            takes_null: record::flag(row, 2)?,
            is_filled: record::flag(row, 3)?,
            numbers: record::flag(row, 4)?,
            engine: record::opt_text(row, 5)?
                .unwrap_or("none: it is a view")
                .to_owned(),
        })
    };
    Ok(read().map_err(damaged)?)
}

/// Why a table with these columns cannot be used.
fn fault(found: &[Column]) -> Option<String> {
    let Some(first) = found.first() else {
        let missing = "it does not exist; connect with migrations on, or run the statement that `ddl` gives";
        return Some(missing.to_owned());
    };
    if first.engine != "InnoDB" {
        return Some(format!(
            "its engine is {}, and it needs transactions; ALTER it to InnoDB",
            first.engine
        ));
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
    if !named("seq").is_some_and(|seq| seq.numbers) {
        return Some("its column `seq` is not an AUTO_INCREMENT that is the primary key".to_owned());
    }
    if !named("bytes").is_some_and(|bytes| bytes.is_filled) {
        return Some("its column `bytes` is not computed from `body`".to_owned());
    }
    if !named("set_aside").is_some_and(|column| column.takes_null) {
        return Some("its column `set_aside` does not take NULL".to_owned());
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
            is_filled: name == "seq" || name == "bytes",
            numbers: name == "seq",
            engine: "InnoDB".to_owned(),
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
            (after(|c| c[0].engine = "MyISAM".to_owned()), "MyISAM"),
            (after(|c| drop(c.remove(3))), "no column `created_at`"),
            (after(|c| c[1].kind = "binary(8)".to_owned()), "`id` is binary(8)"),
            (after(|c| c[0].numbers = false), "AUTO_INCREMENT"),
            (after(|c| c[4].is_filled = false), "computed"),
            (after(|c| c[6].takes_null = false), "NULL"),
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

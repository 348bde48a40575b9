//! The tables: created, checked, and refused when a newer program made them.

use std::path::Path;

use retry_core::store::{StoreError, StoreErrorKind};
use rusqlite::{Connection, TransactionBehavior};

use crate::error::Outcome;
use crate::queries;

/// The version this program writes. A change of the tables raises it and adds a step to [`migrate_within`].
pub(crate) const VERSION: i64 = 1;

/// The stored version; none when the file has none of the tables.
fn stored_version(conn: &Connection, file: &Path) -> Outcome<Option<i64>> {
    let tables: i64 = conn.query_row(queries::SCHEMA_EXISTS, [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(None);
    }
    // Another program's table of that name, or one that was emptied, must not be built upon.
    match conn.query_row(queries::SCHEMA_VERSION, [], |row| row.get(0)) {
        Ok(version) => Ok(Some(version)),
        Err(
            rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::SqlInputError { .. }
            | rusqlite::Error::IntegralValueOutOfRange(..),
        ) => {
            let message = format!(
                "{}: its table retry_schema holds no version: it was damaged, or another program made it; restore a \
                 backup, or keep the tasks in a file of their own",
                file.display()
            );
            Err(StoreError::rejected(StoreErrorKind::Schema, message).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Refuses a file whose tables are missing, older or newer.
pub(crate) fn verify(conn: &Connection, file: &Path) -> Outcome<()> {
    match stored_version(conn, file)? {
        Some(VERSION) => Ok(()),
        Some(stored) if stored > VERSION => Err(newer(file, stored).into()),
        stored => {
            let found = stored.map_or("has no tables of the store".to_owned(), |stored| {
                format!("has schema version {stored}")
            });
            let message = format!(
                "{}: the file {found}, this program needs version {VERSION}; open the store once with migrations on",
                file.display()
            );
            Err(StoreError::rejected(StoreErrorKind::Schema, message).into())
        }
    }
}

/// Creates or upgrades the tables in a transaction of its own.
pub(crate) fn migrate(conn: &mut Connection, file: &Path) -> Outcome<()> {
    // Without the look ahead every start of a worker would wait for the write lock.
    if stored_version(conn, file)? == Some(VERSION) {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    migrate_within(&tx, file)?;
    tx.commit()?;
    Ok(())
}

/// Creates or upgrades the tables in a transaction that holds the write lock.
pub(crate) fn migrate_within(conn: &Connection, file: &Path) -> Outcome<()> {
    match stored_version(conn, file)? {
        Some(VERSION) => Ok(()),
        Some(stored) if stored > VERSION => Err(newer(file, stored).into()),
        // Version 1 is the first.
        None => Ok(conn.execute_batch(queries::CREATE)?),
        Some(stored) => Err(unknown(file, stored).into()),
    }
}

fn unknown(file: &Path, stored: i64) -> StoreError {
    let message = format!(
        "{}: the file has schema version {stored}, which no release ever wrote; restore a backup",
        file.display()
    );
    StoreError::rejected(StoreErrorKind::Schema, message)
}

fn newer(file: &Path, stored: i64) -> StoreError {
    let message = format!(
        "{}: the file has schema version {stored}, made by a newer release; this program knows version {VERSION}: update \
         this program, or restore a backup made before the update",
        file.display()
    );
    StoreError::rejected(StoreErrorKind::Schema, message)
}

//! The tables: created, checked, and refused when a newer program made them.

use retry_core::store::{StoreError, StoreErrorKind};

use crate::error::Outcome;
use crate::insert::altered;
use crate::record;
use crate::schema_name::SchemaName;
use crate::tx::Tx;

/// The version this program writes. A change of the tables raises it and adds a step to [`migrate`].
pub(crate) const VERSION: i32 = 1;

/// What is there.
struct Stored {
    schema: bool,
    /// None: the tables are missing.
    version: Option<i32>,
}

async fn stored(tx: &mut Tx<'_>, schema: &SchemaName) -> Outcome<Stored> {
    let statement = tx.query(&tx.sql.schema_found).bind(schema.as_str().to_owned());
    let row = tx.row(statement).await?;
    let flag = |column| {
        row.as_ref()
            .map_or(Ok(false), |row| record::value(row, column).map_err(altered))
    };
    let (schema, tables) = (flag(0)?, flag(1)?);
    let mut stored = Stored {
        schema,
        version: None,
    };
    if tables {
        let statement = tx.query(&tx.sql.schema_version);
        let row = tx.row(statement).await?;
        let version = row.map(|row| record::value::<Option<i32>>(&row, 0)).transpose();
        // A version table without a row is nobody's: creating the tables will say so.
        stored.version = version.map_err(altered)?.flatten();
    }
    Ok(stored)
}

/// Whether there is nothing to do; refuses tables that a newer program made.
pub(crate) async fn is_current(tx: &mut Tx<'_>, schema: &SchemaName) -> Outcome<bool> {
    match stored(tx, schema).await?.version {
        Some(version) if version > VERSION => Err(newer(version).into()),
        version => Ok(version == Some(VERSION)),
    }
}

/// Refuses tables that are missing, older or newer.
pub(crate) async fn verify(tx: &mut Tx<'_>, schema: &SchemaName) -> Outcome<()> {
    if is_current(tx, schema).await? {
        return Ok(());
    }
    let message = format!(
        "the schema `{schema}` does not have the store's tables in version {VERSION}; connect once with migrations on"
    );
    Err(StoreError::rejected(StoreErrorKind::Schema, message).into())
}

/// Creates or upgrades the tables in a transaction, one program at a time.
pub(crate) async fn migrate(tx: &mut Tx<'_>, schema: &SchemaName) -> Outcome<()> {
    let statement = tx.query(&tx.sql.schema_lock).bind(schema.as_str().to_owned());
    tx.rows(statement).await?;
    // Looked at under the lock: another program may just have done it.
    let found = stored(tx, schema).await?;
    match found.version {
        Some(version) if version > VERSION => return Err(newer(version).into()),
        Some(_) => return Ok(()),
        None => {}
    }
    if !found.schema {
        let sql = tx.sql.create_schema.clone();
        tx.batch(&sql).await?;
    }
    let sql = tx.sql.create.clone();
    tx.batch(&sql).await
}

fn newer(version: i32) -> StoreError {
    let message = format!(
        "the tables have schema version {version}, made by a newer release; this program knows version {VERSION}: update \
         this program, or restore a backup made before the update"
    );
    StoreError::rejected(StoreErrorKind::Schema, message)
}

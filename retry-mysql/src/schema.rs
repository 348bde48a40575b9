//! The tables: created under a lock, checked, and refused when a newer program made them.

use std::time::Duration;

use retry_core::store::{StoreError, StoreErrorKind};

use crate::args::Args;
use crate::db::Db;
use crate::error::Outcome;
use crate::queries::Tables;
use crate::record;

/// The version this program writes. A change of the tables raises it and adds a step to [`migrate`].
pub(crate) const VERSION: i64 = 1;

/// The stored version; none when there are none of the tables, or not all of them yet.
async fn stored_version(db: &mut Db<'_>, tables: &Tables) -> Outcome<Option<i64>> {
    let table = format!("{}schema", tables.prefix);
    let row = db
        .row(
            &db.q.schema_exists,
            Args::new().with(tables.database.as_str()).with(table),
        )
        .await?;
    if row.is_none_or(|row| record::int(&row, 0) != Ok(1)) {
        return Ok(None);
    }
    let row = db.row(&db.q.schema_version, Args::new()).await?;
    Ok(row.and_then(|row| record::int(&row, 0).ok()))
}

/// Refuses tables that are missing, older, newer, or kept by an engine without transactions.
pub(crate) async fn verify(db: &mut Db<'_>, tables: &Tables, place: &str) -> Outcome<()> {
    match stored_version(db, tables).await? {
        Some(VERSION) => {}
        Some(stored) if stored > VERSION => return Err(newer(place, stored).into()),
        stored => {
            let found = stored.map_or("has no tables of the store".to_owned(), |stored| {
                format!("has schema version {stored}")
            });
            let message = format!(
                "{place}: the database {found}, this program needs version {VERSION}; connect once with migrations on"
            );
            return Err(StoreError::rejected(StoreErrorKind::Schema, message).into());
        }
    }
    // Underscores are wildcards.
    let pattern = format!("{}%", tables.prefix.replace('_', "\\_"));
    let args = Args::new().with(tables.database.as_str()).with(pattern);
    if let Some(row) = db.row(&db.q.schema_engines, args).await? {
        let [table, engine] = [0, 1].map(|column| record::text(&row, column).unwrap_or("?").to_owned());
        let message = format!(
            "{place}: the table {table} is kept by {engine}, which has no transactions; ALTER it to InnoDB"
        );
        return Err(StoreError::rejected(StoreErrorKind::Schema, message).into());
    }
    Ok(())
}

/// Creates or upgrades the tables, after up to `wait` for another program that does. The lock is the server's and belongs to this connection: it ends with it.
pub(crate) async fn migrate(db: &mut Db<'_>, tables: &Tables, place: &str, wait: Duration) -> Outcome<()> {
    // Without the look ahead every start of a worker would wait for the lock.
    if stored_version(db, tables).await? == Some(VERSION) {
        return Ok(());
    }
    let names = || {
        Args::new()
            .with(tables.database.as_str())
            .with(tables.prefix.as_str())
    };
    let row = db
        .row(
            &db.q.lock,
            names().with(i64::try_from(wait.as_secs().max(1)).unwrap_or(i64::MAX)),
        )
        .await?;
    if row.is_none_or(|row| record::int(&row, 0) != Ok(1)) {
        let message = format!("{place}: another program is migrating the schema; try again when it is done");
        return Err(StoreError::rejected(StoreErrorKind::Busy, message).into());
    }
    let created = create(db, tables, place).await;
    db.row(&db.q.unlock, names()).await?;
    created
}

async fn create(db: &mut Db<'_>, tables: &Tables, place: &str) -> Outcome<()> {
    match stored_version(db, tables).await? {
        Some(VERSION) => return Ok(()),
        Some(stored) if stored > VERSION => return Err(newer(place, stored).into()),
        _ => {}
    }
    for sql in tables.create() {
        sqlx::raw_sql(sql.text()).execute(&mut *db.conn).await?;
    }
    Ok(())
}

fn newer(place: &str, stored: i64) -> StoreError {
    let message = format!(
        "{place}: the database has schema version {stored}, made by a newer release; this program knows version {VERSION}: \
         update this program, or restore a backup made before the update"
    );
    StoreError::rejected(StoreErrorKind::Schema, message)
}

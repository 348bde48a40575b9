//! Options and what they promise.

use std::time::Duration;

use retry_core::store::{Durability, TaskStore as _, TaskStoreExt as _};
use retry_sqlite::{OpenError, SqliteStore, Synchronous};

use crate::support::{NOW, beside, builder, fresh, place, task, tasks};

#[tokio::test]
async fn durability_says_what_the_setting_keeps() {
    for (synchronous, durability) in [
        (Synchronous::Full, Durability::Synced),
        (Synchronous::Normal, Durability::Periodic(Duration::from_secs(1))),
        (Synchronous::Off, Durability::None),
    ] {
        let (_dir, path) = place();
        let store = builder(&path).synchronous(synchronous).build().unwrap();
        assert_eq!(store.durability(), durability);
        store.insert_one(task(1), NOW).await.unwrap();
    }
}

#[test]
fn wrong_options_are_typed() {
    let error = SqliteStore::open(":memory:").unwrap_err();
    assert!(matches!(error, OpenError::Config(_)));
    assert!(error.to_string().contains("MemoryStore"), "{error}");
}

#[tokio::test]
async fn the_log_is_cut_when_it_is_long() {
    let (_dir, path) = place();
    let store = builder(&path).wal_limit(1024 * 1024).build().unwrap();
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let mut longest = 0;
    for first in (0..20_000).step_by(500) {
        store.insert(&tasks(first..first + 500), NOW).await.unwrap();
        longest = longest.max(std::fs::metadata(&wal).unwrap().len());
    }
    assert!(longest < 8 * 1024 * 1024, "{longest} bytes");
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, store) = fresh();
    let mode = std::fs::metadata(store.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn the_users_version_and_tables_are_left_alone() {
    let (_dir, path) = place();
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE mine (n INTEGER); PRAGMA user_version = 42")
        .unwrap();
    drop(conn);
    let store = builder(&path).build().unwrap();
    store.migrate().await.unwrap();
    let conn = beside(&store);
    let version: i64 = conn
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 42);
    let foreign: i64 = conn
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'retry\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(foreign, 1, "only the user's own");
}

#[tokio::test]
async fn the_writer_syncs_as_the_setting_says() {
    for (synchronous, code) in [
        (Synchronous::Full, 2),
        (Synchronous::Normal, 1),
        (Synchronous::Off, 0),
    ] {
        let (_dir, path) = place();
        let store = SqliteStore::builder(&path)
            .synchronous(synchronous)
            .build()
            .unwrap();
        let look =
            |tx: &rusqlite::Savepoint<'_>| tx.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0));
        let told: Result<i64, Box<dyn std::error::Error + Send + Sync>> =
            store.transaction(move |tx| Ok(look(tx)?)).await;
        assert_eq!(told.unwrap(), code, "{synchronous:?}");
    }
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let told: Result<i64, Box<dyn std::error::Error + Send + Sync>> = store
        .transaction(|tx| Ok(tx.query_row("PRAGMA synchronous", [], |row| row.get(0))?))
        .await;
    assert_eq!(told.unwrap(), 2, "full unless told otherwise");
}

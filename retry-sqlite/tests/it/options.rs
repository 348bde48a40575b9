//! Options and what they promise.

use std::time::Duration;

use retry_core::store::{Durability, TaskStore as _, TaskStoreExt as _};
use retry_sqlite::{OpenError, SqliteStore, Synchronous};
use rusqlite::Connection;

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

/// The length of the log beside a store, in bytes.
fn log_bytes(store: &SqliteStore) -> u64 {
    let mut wal = store.path().as_os_str().to_owned();
    wal.push("-wal");
    std::fs::metadata(wal).unwrap().len()
}

/// Looks until it is so: the writer is about to see to it.
fn soon(mut is_so: impl FnMut() -> bool) -> bool {
    let (_never, pause) = std::sync::mpsc::channel::<()>();
    (0..1_000).any(|_| is_so() || pause.recv_timeout(Duration::from_millis(10)).is_ok())
}

const LIMIT: u64 = 1024 * 1024;

#[tokio::test]
async fn the_log_is_cut_when_it_is_long() {
    let (_dir, path) = place();
    let store = builder(&path).wal_limit(LIMIT).build().unwrap();
    let (mut longest, mut shorter) = (0, 0);
    for first in (0..20_000).step_by(500) {
        store.insert(&tasks(first..first + 500), NOW).await.unwrap();
        let now = log_bytes(&store);
        // Cut, not only written from its beginning again.
        shorter += u32::from(now < longest.min(LIMIT));
        longest = longest.max(now);
    }
    assert!(longest < 8 * LIMIT, "{longest} bytes");
    assert!(shorter > 0, "it was never shorter than {longest} bytes");
}

#[tokio::test]
async fn a_log_that_a_reader_kept_is_cut_when_the_reader_has_ended() {
    let (_dir, path) = place();
    let store = builder(&path).wal_limit(LIMIT).build().unwrap();
    let reader = beside(&store);
    reader.execute_batch("BEGIN; SELECT * FROM retry_task").unwrap();
    for first in (0..10_000).step_by(500) {
        store.insert(&tasks(first..first + 500), NOW).await.unwrap();
    }
    assert!(log_bytes(&store) > 2 * LIMIT, "{} bytes", log_bytes(&store));
    // The second answer means that the writer has tried to cut it after the last write, in vain.
    for _ in 0..2 {
        store.migrate().await.unwrap();
    }
    reader.execute_batch("COMMIT").unwrap();
    // Nothing is written any more: the writer does it in its own time.
    assert!(soon(|| log_bytes(&store) == 0), "{} bytes", log_bytes(&store));
}

#[tokio::test]
async fn a_pause_empties_the_log_however_short_it_is() {
    let (_dir, path) = place();
    let store = builder(&path).build().unwrap();
    store.insert_one(task(1), NOW).await.unwrap();
    let conn = Connection::open(&path).unwrap();
    let look = || {
        conn.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
            Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })
    };
    let is_empty = || look().is_ok_and(|(log, copied)| log > 0 && log == copied);
    assert!(soon(is_empty), "{:?}", look());
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
    let conn = Connection::open(&path).unwrap();
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
    for (synchronous, code) in [(Synchronous::Normal, 2), (Synchronous::Off, 0)] {
        let (_dir, path) = place();
        let store = builder(&path).synchronous(synchronous).build().unwrap();
        let conn = store.connection().unwrap();
        let told: i64 = conn
            .pragma_query_value(None, "synchronous", |row| row.get(0))
            .unwrap();
        assert_eq!(told, code, "a user's own connection beside {synchronous:?}");
    }
    let (_dir, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let told: Result<i64, Box<dyn std::error::Error + Send + Sync>> = store
        .transaction(|tx| Ok(tx.query_row("PRAGMA synchronous", [], |row| row.get(0))?))
        .await;
    assert_eq!(told.unwrap(), 2, "full unless told otherwise");
}

/// The child: one commit under the setting that the file's name asks for, and the time for it to be synced.
pub(crate) async fn write_and_wait(file: &std::path::Path) {
    let synchronous = match file.file_stem().and_then(std::ffi::OsStr::to_str) {
        Some("full") => Synchronous::Full,
        Some("normal") => Synchronous::Normal,
        _ => Synchronous::Off,
    };
    let store = SqliteStore::builder(file)
        .synchronous(synchronous)
        .busy_timeout(Duration::from_secs(600))
        .build()
        .unwrap();
    // What comes behind this in the list of calls is not the opening's.
    let marker = std::fs::File::create(file.with_extension("marker")).unwrap();
    marker.sync_all().unwrap();
    store.insert_one(task(1), NOW).await.unwrap();
    // A lock that somebody holds, and a writer that waits for it, delay no sync.
    let conn = beside(&store);
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = tokio::spawn(async move { store.insert_one(task(2), NOW).await });
    crate::child::say("written");
    crate::child::wait();
    conn.execute_batch("ROLLBACK").unwrap();
    waiting.await.unwrap().unwrap();
}

/// What the system is asked for, by a program that watches its calls.
#[cfg(target_os = "linux")]
#[test]
fn the_log_is_on_the_disk_when_the_setting_says_so() {
    let watches =
        |command: &mut std::process::Command| command.output().is_ok_and(|told| told.status.success());
    if !watches(std::process::Command::new("strace").args(["-o", "/dev/null", "true"])) {
        eprintln!("skipped: there is no strace here, or it may watch no process");
        return;
    }
    for (setting, synced) in [("full", true), ("normal", true), ("off", false)] {
        let (dir, _) = place();
        let file = dir.path().canonicalize().unwrap().join(format!("{setting}.db"));
        let calls = dir.path().join("calls");
        let child = crate::child::command(&std::env::current_exe().unwrap(), "sync", &file);
        let mut watched = std::process::Command::new("strace");
        watched
            .args(["-f", "-y", "-e", "trace=fsync,fdatasync", "-o"])
            .arg(&calls)
            .arg(child.get_program())
            .args(child.get_args())
            .envs(child.get_envs().filter_map(|(key, value)| Some((key, value?))))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped());
        let mut child = crate::child::Process::of(watched);
        assert_eq!(child.says().unwrap(), "written");
        let log = format!("{setting}.db-wal>");
        let is_synced = || {
            let calls = std::fs::read_to_string(&calls).unwrap();
            let later = calls
                .split_once(".marker>")
                .map(|(_, later)| later.contains(&log));
            later.unwrap_or(false)
        };
        // With `Normal` half a second later, while the writer waits for a lock.
        assert!(!synced || soon(is_synced), "{setting}: the log was not synced");
        assert_eq!(is_synced(), synced, "{setting}");
        child.go_on();
        assert!(child.says().is_none());
    }
}

/// A file from elsewhere must not make the program run what its schema names.
#[tokio::test]
async fn the_schema_of_a_file_is_not_trusted() {
    let (_dir, store) = fresh();
    let told: Result<i64, Box<dyn std::error::Error + Send + Sync>> = store
        .transaction(|tx| Ok(tx.query_row("PRAGMA trusted_schema", [], |row| row.get(0))?))
        .await;
    assert_eq!(told.unwrap(), 0);
    let conn = store.connection().unwrap();
    let told: i64 = conn
        .pragma_query_value(None, "trusted_schema", |row| row.get(0))
        .unwrap();
    assert_eq!(told, 0);
}

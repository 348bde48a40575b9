//! Opening the file: its path, its rights, and the settings of every connection.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use retry_core::clock::{Clock, Monotonic, SystemClock};
use retry_core::store::{StoreError, StoreErrorKind};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::config::{Config, Synchronous};
use crate::error::Outcome;
use crate::patience::pause;
use crate::turn::STEP;

/// Statements that a connection keeps prepared; more than the store has, so that users' own fit as well.
const STATEMENTS: usize = 128;

/// The one spelling of a path by which every handle and every process knows the file.
///
/// # Errors
/// The directory does not exist, or the path is a directory or a symbolic link: the log and the locks stand beside the
/// file's name, so two names for one file would be two sets of them.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, StoreError> {
    let refuse = |message: String| StoreError::rejected(StoreErrorKind::Invalid, message);
    let name = path
        .file_name()
        .ok_or_else(|| refuse(format!("{}: this is no path of a file", path.display())))?;
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("."),
    };
    let parent = parent.canonicalize().map_err(|error| {
        let message = format!(
            "{}: its directory cannot be opened; create it first and check its rights",
            path.display()
        );
        StoreError::rejected(StoreErrorKind::Unavailable, message).with_source(error)
    })?;
    let path = parent.join(name);
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => Err(refuse(format!(
            "{}: this is a directory; name a file in it",
            path.display()
        ))),
        Ok(found) if found.is_symlink() => Err(refuse(format!(
            "{}: this is a symbolic link; name the file it leads to",
            path.display()
        ))),
        _ => Ok(path),
    }
}

/// Creates the file, empty and for its owner only, if there is none. An existing one is not opened here: closing a file
/// that SQLite has open elsewhere in the process would drop SQLite's locks on it.
pub(crate) fn create_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// A connection that waits for locks; nothing is read or set yet.
pub(crate) fn open(config: &Config) -> Outcome<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(&config.path, flags)?;
    conn.busy_timeout(config.busy_timeout)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // A file that names no existing function, table or collation must not make us run what it names.
    conn.pragma_update(None, "trusted_schema", false)?;
    // With a mapped file a stray write in the program, or a truncated file, is damage instead of an error.
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(conn)
}

/// Plans a statement once, whatever values it is given: SQLite otherwise plans those with a range anew whenever their
/// values change, which took more than half of the time of a small claim.
pub(crate) fn plan_once(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
}

/// Makes a connection the writer.
pub(crate) fn writer(conn: &Connection, config: &Config) -> Outcome<()> {
    plan_once(conn)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        let message = format!(
            "{}: the file cannot use a write-ahead log (its mode stays {mode}); keep it on a local file system",
            config.path.display()
        );
        return Err(StoreError::rejected(StoreErrorKind::Unavailable, message).into());
    }
    conn.pragma_update(None, "synchronous", config.synchronous.pragma())?;
    if config.synchronous == Synchronous::Full {
        // Only macOS has them: there a plain sync does not reach the disk.
        conn.pragma_update(None, "fullfsync", true)?;
        conn.pragma_update(None, "checkpoint_fullfsync", true)?;
    }
    conn.pragma_update(
        None,
        "journal_size_limit",
        i64::try_from(config.wal_limit).unwrap_or(i64::MAX),
    )?;
    // Checkpoints are made after the replies, see `upkeep`.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "cache_size", -64 * 1024)?;
    if let Some(bytes) = config.max_size {
        let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        conn.pragma_update_and_check(None, "max_page_count", pages.max(1), |_| Ok(()))?;
    }
    // The writer waits for locks itself, see `turn`.
    conn.busy_timeout(Duration::ZERO)?;
    Ok(())
}

/// Makes a connection one of the user's own, at least as durable as the store: under `Normal` the store's own syncs do
/// not wait for its commits, so it syncs them itself.
pub(crate) fn users(conn: &Connection, config: &Config) -> Outcome<()> {
    if config.synchronous == Synchronous::Off {
        conn.pragma_update(None, "synchronous", Synchronous::Off.pragma())?;
    } else {
        conn.pragma_update(None, "synchronous", Synchronous::Full.pragma())?;
        conn.pragma_update(None, "fullfsync", true)?;
    }
    conn.busy_handler(Some(wait_closely))?;
    Ok(())
}

/// How long a connection of the user's own waits for the write lock.
const USERS_WAIT: Duration = Duration::from_secs(5);

/// Looks for the lock every half millisecond. SQLite's own wait sleeps up to 100 ms between two looks, which beside a busy
/// writer hardly ever finds the lock free. SQLite takes no closure: the thread remembers since when it waits.
fn wait_closely(looks: i32) -> bool {
    thread_local! {
        static SINCE: Cell<Monotonic> = const { Cell::new(Monotonic::NEVER) };
        static CLOCK: SystemClock = SystemClock::new();
    }
    let now = CLOCK.with(Clock::monotonic);
    if looks == 0 {
        SINCE.set(now);
    }
    pause(STEP);
    now.saturating_since(SINCE.get()) < USERS_WAIT
}

/// Makes a connection a reader.
pub(crate) fn reader(conn: &Connection) -> Outcome<()> {
    plan_once(conn)?;
    conn.pragma_update(None, "cache_size", -8 * 1024)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(())
}

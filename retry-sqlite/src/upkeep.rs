//! Between the groups: the write-ahead log is copied into the file and kept short, and under `Normal` brought to the disk.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use retry_core::clock::{Clock, Monotonic};
use rusqlite::Connection;

use crate::config::{Config, Synchronous};

/// Pages in the log that are worth a checkpoint when nothing else is to do.
const IDLE_PAGES: i64 = 1_000;

/// A pause this long means that nothing else is to do: a worker that was just woken claims within it.
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// Pages in the log that are worth a checkpoint in any case.
const BUSY_PAGES: i64 = 4_000;

/// A pause this long empties the log, however short it is.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// How often `Normal` syncs: half of what it promises, the other half is for the sync itself and a group in progress.
const SYNC_EVERY: Duration = Duration::from_millis(500);

/// The state of the log.
#[derive(Debug)]
pub(crate) struct Upkeep {
    wal: PathBuf,
    limit_pages: i64,
    /// The length of the log at which cutting it is tried again, after a reader kept it from being cut.
    cut_at: i64,
    syncs: bool,
    unsynced_since: Option<Monotonic>,
    uncopied: bool,
    /// Enough pages wait for a checkpoint in the next short pause.
    worth_a_pause: bool,
    /// How long nothing was to do.
    paused: Duration,
}

impl Upkeep {
    pub(crate) fn new(config: &Config, page_size: i64) -> Self {
        let mut wal = config.path.as_os_str().to_owned();
        wal.push("-wal");
        let limit = i64::try_from(config.wal_limit).unwrap_or(i64::MAX);
        let limit_pages = limit / page_size.max(1);
        Self {
            wal: PathBuf::from(wal),
            limit_pages,
            cut_at: limit_pages,
            syncs: config.synchronous == Synchronous::Normal,
            unsynced_since: None,
            uncopied: true,
            worth_a_pause: false,
            paused: Duration::ZERO,
        }
    }

    /// When to look again if nothing comes; none: not before the next write.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match (self.worth_a_pause, self.unsynced_since, self.uncopied) {
            (true, _, _) => Some(SHORT_PAUSE),
            (false, Some(_), _) => Some(SYNC_EVERY),
            (false, None, true) => Some(LONG_PAUSE),
            (false, None, false) => None,
        }
    }

    /// After a group.
    pub(crate) fn after_group(&mut self, conn: &Connection, clock: &dyn Clock, committed: bool) {
        self.paused = Duration::ZERO;
        if committed {
            self.uncopied = true;
            self.unsynced_since = self
                .unsynced_since
                .or_else(|| self.syncs.then(|| clock.monotonic()));
        }
        self.sync_if_due(clock);
        self.shorten(conn, BUSY_PAGES);
    }

    /// After a pause of `waited` in which nothing came.
    pub(crate) fn after_pause(&mut self, conn: &Connection, clock: &dyn Clock, waited: Duration) {
        self.paused = self.paused.saturating_add(waited);
        self.sync_if_due(clock);
        if self.uncopied && self.paused >= LONG_PAUSE {
            self.shorten(conn, 1);
            self.uncopied = false;
        } else if self.worth_a_pause && self.paused >= SHORT_PAUSE {
            self.shorten(conn, IDLE_PAGES);
            // What a reader kept back waits for the next group or a long pause.
            self.worth_a_pause = false;
        }
    }

    fn sync_if_due(&mut self, clock: &dyn Clock) {
        let Some(since) = self.unsynced_since else { return };
        let waited = clock.monotonic().saturating_since(since).max(self.paused);
        if waited < SYNC_EVERY {
            return;
        }
        match sync(&self.wal) {
            Ok(()) => self.unsynced_since = None,
            Err(error) => {
                tracing::error!(%error, path = %self.wal.display(), "the log could not be synced; a power cut may lose more than declared");
            }
        }
    }

    /// Copies the log into the file if at least `pages` wait, and cuts it if it is too long.
    fn shorten(&mut self, conn: &Connection, pages: i64) {
        let Some((log, copied)) = checkpoint(conn, "PRAGMA wal_checkpoint(NOOP)") else {
            return;
        };
        self.worth_a_pause = log - copied >= IDLE_PAGES;
        if log - copied >= pages {
            checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)");
            self.worth_a_pause = false;
        }
        if log < self.cut_at {
            return;
        }
        match checkpoint(conn, "PRAGMA wal_checkpoint(TRUNCATE)") {
            Some((0, _)) => self.cut_at = self.limit_pages,
            _ => {
                // Readers are mostly short: the next try comes soon, the warning only when none has helped.
                self.cut_at = log.saturating_add(self.limit_pages / 8);
                if log < self.limit_pages.saturating_mul(2) {
                    return;
                }
                tracing::warn!(pages = log, path = %self.wal.display(), "a reader keeps the log from being cut; end its transaction");
            }
        }
    }
}

/// Pages in the log and pages of it that are in the file; none: somebody else is at it.
fn checkpoint(conn: &Connection, pragma: &str) -> Option<(i64, i64)> {
    let pages = conn.prepare_cached(pragma).and_then(|mut statement| {
        statement.query_row([], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
            ))
        })
    });
    match pages {
        Ok((0, log, copied)) => Some((log, copied)),
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(%error, pragma, "a checkpoint was put off");
            None
        }
    }
}

/// The log is no file that SQLite locks, so it may be opened and closed beside it.
fn sync(wal: &Path) -> std::io::Result<()> {
    File::open(wal)?.sync_data()
}

//! Between the groups: the write-ahead log is copied into the file and kept short.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;

use crate::config::Config;

/// Pages in the log that are worth a checkpoint when nothing else is to do. Whoever comes during one waits for its two
/// syncs, so it is made seldom: beside an idle worker less than once in a hundred tasks.
const IDLE_PAGES: i64 = 2_000;

/// A pause this long means that nothing else is to do: a worker that was just woken claims within it.
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// Pages in the log that are worth a checkpoint in any case.
const BUSY_PAGES: i64 = 4_000;

/// A pause this long empties the log, however short it is.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// The state of the log.
#[derive(Debug)]
pub(crate) struct Upkeep {
    wal: PathBuf,
    limit_pages: i64,
    /// The length of the log at which cutting it is tried again, after a reader kept it from being cut.
    cut_at: i64,
    uncopied: bool,
    /// Enough pages wait for a checkpoint in the next short pause.
    worth_a_pause: bool,
    /// How long nothing was to do.
    paused: Duration,
}

/// What a look at the log left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Log {
    /// All of it is in the file, and it is no longer than it may be.
    Done,
    /// A reader, or another process that is at it, kept some of it.
    Kept,
}

impl Upkeep {
    pub(crate) fn new(config: &Config, page_size: i64) -> Self {
        let limit = i64::try_from(config.wal_limit).unwrap_or(i64::MAX);
        let limit_pages = limit / page_size.max(1);
        Self {
            wal: config.wal(),
            limit_pages,
            cut_at: limit_pages,
            uncopied: true,
            worth_a_pause: false,
            paused: Duration::ZERO,
        }
    }

    /// When to look again if nothing comes; none: not before the next write.
    pub(crate) fn wait(&self) -> Option<Duration> {
        if self.worth_a_pause {
            return Some(SHORT_PAUSE);
        }
        self.uncopied.then_some(LONG_PAUSE)
    }

    /// After a group. `idle`: nothing waits, and nobody was woken who is about to come.
    pub(crate) fn after_group(&mut self, conn: &Connection, committed: bool, idle: bool) {
        self.paused = Duration::ZERO;
        self.uncopied |= committed;
        self.shorten(conn, if idle { IDLE_PAGES } else { BUSY_PAGES });
    }

    /// After a commit that found the disk full: the log's own room can be used again once it is copied into the file, which
    /// may have free pages.
    pub(crate) fn make_room(&mut self, conn: &Connection) {
        self.shorten(conn, 1);
    }

    /// After a pause of `waited` in which nothing came.
    pub(crate) fn after_pause(&mut self, conn: &Connection, waited: Duration) {
        self.paused = self.paused.saturating_add(waited);
        if self.uncopied && self.paused >= LONG_PAUSE {
            self.paused = Duration::ZERO;
            // There is time: also what a reader kept is tried again.
            self.cut_at = self.limit_pages;
            self.uncopied = self.shorten(conn, 1) == Log::Kept;
        } else if self.worth_a_pause && self.paused >= SHORT_PAUSE {
            self.shorten(conn, IDLE_PAGES);
            // What a reader kept back waits for the next group or a long pause.
            self.worth_a_pause = false;
        }
    }

    /// Copies the log into the file if at least `pages` wait, and cuts it if it is too long.
    fn shorten(&mut self, conn: &Connection, pages: i64) -> Log {
        let Some((log, mut copied)) = checkpoint(conn, "PRAGMA wal_checkpoint(NOOP)") else {
            return Log::Kept;
        };
        self.worth_a_pause = log - copied >= IDLE_PAGES;
        if log - copied >= pages
            && let Some(after) = checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)")
        {
            copied = after.1;
            self.worth_a_pause = false;
        }
        if log < self.cut_at {
            return if copied >= log { Log::Done } else { Log::Kept };
        }
        if let Some((0, _)) = checkpoint(conn, "PRAGMA wal_checkpoint(TRUNCATE)") {
            self.cut_at = self.limit_pages;
            return Log::Done;
        }
        // Readers are mostly short: the next try comes soon, the warning only when none has helped.
        self.cut_at = log.saturating_add(self.limit_pages / 8);
        if log >= self.limit_pages.saturating_mul(2) {
            tracing::warn!(pages = log, path = %self.wal.display(), "a reader keeps the log from being cut; end its transaction");
        }
        Log::Kept
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

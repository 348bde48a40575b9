//! Fair turns among the writers of several processes, and the wait for the file's write lock.
//!
//! SQLite's own wait sleeps up to 100 ms between two tries, so beside a process that writes without a pause another one
//! would hardly ever find the lock free. Here a writer that has to wait tries twice a millisecond and shows that it waits
//! by locking a file; whoever has just committed sees that and lets it go first.

use std::fs::File;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

/// Between two tries.
const STEP: Duration = Duration::from_micros(500);

/// How long a writer steps back for one that waits. One that was stopped while it waited must not stop the others.
const STEPS_BACK: u32 = 10;

/// How many groups pass before a writer steps back again for one that did not come.
const PATIENCE: u32 = 1_000;

/// Kept prepared, apart from a user's own, which the guard is to see.
const BEGIN: &str = "BEGIN IMMEDIATE /* of a group */";

/// The turns of one store.
#[derive(Debug)]
pub(crate) struct Turn {
    file: Option<File>,
    tries: u32,
    ignore: u32,
}

impl Turn {
    /// Waits at most `timeout` for the write lock. Without a `file` there is no courtesy, only the wait.
    pub(crate) fn new(file: Option<File>, timeout: Duration) -> Self {
        let tries = timeout.as_micros() / STEP.as_micros();
        Self {
            file,
            tries: u32::try_from(tries).unwrap_or(u32::MAX),
            ignore: 0,
        }
    }

    /// Begins a transaction that holds the write lock.
    pub(crate) fn begin(&self, conn: &Connection) -> rusqlite::Result<()> {
        let mut shown = false;
        let mut result = begin(conn);
        for _ in 0..self.tries {
            if !is_busy(&result) {
                break;
            }
            shown = shown || self.file.as_ref().is_some_and(|file| file.try_lock().is_ok());
            pause();
            result = begin(conn);
        }
        if let (true, Some(file)) = (shown, &self.file) {
            let _ = file.unlock();
        }
        result
    }

    /// After a commit: lets a process that waits go first.
    pub(crate) fn step_back(&mut self) {
        if self.ignore > 0 {
            self.ignore -= 1;
            return;
        }
        for _ in 0..STEPS_BACK {
            match &self.file {
                Some(file) if file.try_lock().is_err() => pause(),
                Some(file) => {
                    let _ = file.unlock();
                    return;
                }
                None => return,
            }
        }
        self.ignore = PATIENCE;
    }
}

/// Waits a moment, in real time, not the injected clock's: the other process lives in it.
pub(crate) fn pause() {
    let (nothing, nobody) = (Mutex::new(()), Condvar::new());
    let guard = nothing.lock().unwrap_or_else(PoisonError::into_inner);
    // Nobody notifies: the time-out is the pause.
    drop(nobody.wait_timeout(guard, STEP));
}

fn begin(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached(BEGIN)?.execute([]).map(drop)
}

fn is_busy(result: &rusqlite::Result<()>) -> bool {
    result.as_ref().err().and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::DatabaseBusy)
}

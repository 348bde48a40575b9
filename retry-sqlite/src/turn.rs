//! Fair turns among the writers of several processes, and the wait for the file's write lock.
//!
//! SQLite's own wait sleeps up to 100 ms between two tries, so beside a process that writes without a pause another one
//! would hardly ever find the lock free. Here a writer that has to wait tries twice a millisecond and shows that it waits
//! by locking a file; whoever has just committed sees that and lets it go first.

use std::fs::File;
use std::time::Duration;

use retry_core::clock::Clock;
use rusqlite::{Connection, ErrorCode};

use crate::patience::{Patience, pause};

/// Between two tries.
pub(crate) const STEP: Duration = Duration::from_micros(500);

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
    timeout: Duration,
    ignore: u32,
}

impl Turn {
    /// Waits at most `timeout` for the write lock. Without a `file` there is no courtesy, only the wait.
    pub(crate) const fn new(file: Option<File>, timeout: Duration) -> Self {
        Self {
            file,
            timeout,
            ignore: 0,
        }
    }

    /// Begins a transaction that holds the write lock.
    pub(crate) fn begin(&self, conn: &Connection, clock: &dyn Clock) -> rusqlite::Result<()> {
        let mut result = begin(conn);
        if !is_busy(&result) {
            return result;
        }
        let mut patience = Patience::new(clock, self.timeout);
        let mut shown = false;
        while is_busy(&result) {
            shown = shown || self.file.as_ref().is_some_and(|file| file.try_lock().is_ok());
            if !patience.nap(STEP) {
                break;
            }
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
                Some(file) if file.try_lock().is_err() => pause(STEP),
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

fn begin(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached(BEGIN)?.execute([]).map(drop)
}

fn is_busy(result: &rusqlite::Result<()>) -> bool {
    result.as_ref().err().and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::DatabaseBusy)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::channel;

    use retry_core::clock::{ManualClock, SystemClock};

    use super::*;

    fn turn_file(dir: &Path) -> File {
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        options.open(dir.join("turn")).unwrap()
    }

    fn connection(dir: &Path) -> Connection {
        let conn = Connection::open(dir.join("x.db")).unwrap();
        conn.busy_timeout(Duration::ZERO).unwrap();
        conn
    }

    #[test]
    fn who_waits_shows_it_until_its_turn_has_come() {
        let dir = tempfile::tempdir().unwrap();
        let look = turn_file(dir.path());
        let holder = connection(dir.path());
        begin(&holder).unwrap();
        let (begun, has_begun) = channel();
        let waiter = std::thread::spawn({
            let (conn, file) = (connection(dir.path()), turn_file(dir.path()));
            move || {
                let turn = Turn::new(Some(file), Duration::from_secs(60));
                let result = turn.begin(&conn, &SystemClock::new());
                begun.send(()).unwrap();
                (result, conn)
            }
        });
        // It shows after its first try; until then the lock can be taken and is given back.
        while look.try_lock().is_ok() {
            look.unlock().unwrap();
            std::thread::yield_now();
        }
        assert!(has_begun.try_recv().is_err(), "the lock is held");
        holder.execute_batch("ROLLBACK").unwrap();
        let (result, conn) = waiter.join().unwrap();
        result.unwrap();
        assert!(!conn.is_autocommit());
        assert!(look.try_lock().is_ok(), "it does not wait any more");
    }

    #[test]
    fn a_wait_that_is_over_is_busy_and_shown_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let holder = connection(dir.path());
        begin(&holder).unwrap();
        let turn = Turn::new(Some(turn_file(dir.path())), 4 * STEP);
        assert!(is_busy(&turn.begin(&connection(dir.path()), &ManualClock::new())));
        assert!(turn_file(dir.path()).try_lock().is_ok());
    }

    #[test]
    fn who_has_committed_lets_a_waiting_one_go_first_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let waiting = turn_file(dir.path());
        let mut turn = Turn::new(Some(turn_file(dir.path())), Duration::ZERO);
        turn.step_back();
        assert_eq!(turn.ignore, 0, "nobody waits");
        assert!(waiting.try_lock().is_ok(), "a look leaves the file free");
        // One that was stopped while it waited.
        turn.step_back();
        assert_eq!(turn.ignore, PATIENCE);
        turn.step_back();
        assert_eq!(turn.ignore, PATIENCE - 1, "no second wait soon");
        waiting.unlock().unwrap();
        turn.ignore = 0;
        turn.step_back();
        assert_eq!(turn.ignore, 0, "it has gone");
    }
}

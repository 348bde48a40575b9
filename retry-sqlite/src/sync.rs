//! Under `Normal`: a thread that brings the log to the disk twice a second, whatever keeps the writer busy.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often it syncs: half of what `Normal` promises, the other half is for the sync itself.
const EVERY: Duration = Duration::from_millis(500);

/// The thread. Dropping it syncs what is left.
#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Something was committed since the last sync began.
    behind: bool,
    closed: bool,
}

impl Syncer {
    /// Syncs the log in `wal` after commits.
    pub(crate) fn start(wal: PathBuf) -> io::Result<Self> {
        Self::start_with(EVERY, move || {
            // The log is no file that SQLite locks, so it may be opened and closed beside it.
            match File::open(&wal).and_then(|log| log.sync_data()) {
                // The last connection copied it into the file, synced that, and removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result.inspect_err(|error| {
                    tracing::error!(%error, path = %wal.display(), "the log could not be synced; a power cut may lose more than declared");
                }),
            }
        })
    }

    fn start_with(
        every: Duration,
        sync: impl FnMut() -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("retry-sqlite-sync".to_owned());
        Ok(Self {
            shared,
            thread: Some(thread.spawn(move || theirs.run(every, sync))?),
        })
    }

    /// Something was committed: it will be on the disk in time.
    pub(crate) fn committed(&self) {
        self.shared.state().behind = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It ends itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, every: Duration, mut sync: impl FnMut() -> io::Result<()>) {
        let mut state = self.state();
        loop {
            let idle = self
                .changed
                .wait_while(state, |state| !state.behind && !state.closed);
            state = idle.unwrap_or_else(PoisonError::into_inner);
            // From the first commit on; what is committed meanwhile goes with it.
            let gathering = self
                .changed
                .wait_timeout_while(state, every, |state| !state.closed);
            state = gathering.unwrap_or_else(PoisonError::into_inner).0;
            let closed = state.closed;
            if state.behind {
                // Before the sync: a commit during it may come too late for it.
                state.behind = false;
                drop(state);
                let failed = sync().is_err();
                state = self.state();
                state.behind |= failed;
            }
            if closed {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    const SOON: Duration = Duration::from_millis(1);
    const NEVER: Duration = Duration::from_secs(3_600);
    /// How long a test waits for what must happen.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A syncer that tells of each sync, of which the first `fail` fail.
    fn telling(every: Duration, mut fail: u32) -> (Syncer, Receiver<()>) {
        let (told, syncs) = channel();
        let syncer = Syncer::start_with(every, move || {
            told.send(()).unwrap();
            if fail > 0 {
                fail -= 1;
                return Err(io::ErrorKind::Other.into());
            }
            Ok(())
        });
        (syncer.unwrap(), syncs)
    }

    #[test]
    fn a_commit_is_synced_and_again_only_after_the_next() {
        let (syncer, syncs) = telling(SOON, 0);
        syncer.committed();
        syncs.recv_timeout(PATIENCE).unwrap();
        syncer.committed();
        syncs.recv_timeout(PATIENCE).unwrap();
        drop(syncer);
        assert_eq!(syncs.iter().count(), 0, "nothing was left to sync");
    }

    #[test]
    fn a_sync_that_failed_is_repeated() {
        let (syncer, syncs) = telling(SOON, 2);
        syncer.committed();
        for _ in 0..3 {
            syncs.recv_timeout(PATIENCE).unwrap();
        }
        drop(syncer);
    }

    #[test]
    fn the_end_syncs_what_is_left_at_once() {
        let (syncer, syncs) = telling(NEVER, 0);
        syncer.committed();
        syncer.committed();
        drop(syncer);
        assert_eq!(syncs.iter().count(), 1);
        let (syncer, syncs) = telling(NEVER, 0);
        drop(syncer);
        assert_eq!(syncs.iter().count(), 0);
    }

    #[test]
    fn the_log_itself_is_synced_and_one_that_is_gone_needs_none() {
        let dir = tempfile::tempdir().unwrap();
        let wal = dir.path().join("x-wal");
        std::fs::write(&wal, "log").unwrap();
        for gone in [false, true] {
            if gone {
                std::fs::remove_file(&wal).unwrap();
            }
            let syncer = Syncer::start(wal.clone()).unwrap();
            syncer.committed();
            let shared = Arc::clone(&syncer.shared);
            drop(syncer);
            assert!(!shared.state().behind);
        }
    }
}

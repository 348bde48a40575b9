//! One locked file per session: when its process is gone the lock is free, and the session is lost at once.
//!
//! The files are in a directory beside the database, each named by its session. A file is locked before its session's row
//! is written and stays so until the session ends or the store is closed, so a row whose lock can be taken belonged to a
//! process that is gone. A session without a file proves nothing and is left to its lease: on a file system without
//! locks, and in a copy of the database elsewhere.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use retry_core::id::SessionId;

/// The file by which writers of several processes take turns.
const TURN: &str = "turn";

/// The locks of one store.
#[derive(Debug)]
pub(crate) struct SessionLocks {
    dir: PathBuf,
    held: Mutex<HashMap<SessionId, File>>,
}

impl SessionLocks {
    /// The locks beside the database `file`.
    pub(crate) fn beside(file: &Path) -> io::Result<Self> {
        let mut name = file.as_os_str().to_owned();
        name.push("-locks");
        let dir = PathBuf::from(name);
        create_dir(&dir)?;
        Ok(Self {
            dir,
            held: Mutex::default(),
        })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<SessionId, File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, session: SessionId) -> PathBuf {
        self.dir.join(session.to_string())
    }

    /// The file by which writers of several processes take turns.
    pub(crate) fn turn(&self) -> io::Result<File> {
        open(&self.dir.join(TURN), true)
    }

    /// Whether this store holds the session's lock.
    pub(crate) fn holds(&self, session: SessionId) -> bool {
        self.held().contains_key(&session)
    }

    /// Shows that this process uses the session. Where files cannot be locked the session goes without.
    pub(crate) fn hold(&self, session: SessionId) {
        if self.holds(session) {
            return;
        }
        let path = self.file(session);
        match lock(&path) {
            Ok(Some(file)) => {
                self.held().insert(session, file);
            }
            // Another handle of a living process has it.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%session, %error, path = %path.display(), "the session has no lock file; only its lease tells whether it lives");
                let _ = std::fs::remove_file(&path);
            }
        }
    }

    /// Whether the session's process is proved gone.
    pub(crate) fn is_dead(&self, session: SessionId) -> bool {
        if self.holds(session) {
            return false;
        }
        let Ok(file) = open(&self.file(session), false) else {
            return false;
        };
        file.try_lock().is_ok()
    }

    /// The session ended: its file goes.
    pub(crate) fn end(&self, session: SessionId) {
        let held = self.held().remove(&session);
        let _ = std::fs::remove_file(self.file(session));
        drop(held);
    }

    /// Removes what dead processes left: files whose session is not among `live` and whose lock is free.
    pub(crate) fn sweep(&self, live: impl Fn(SessionId) -> bool) {
        let Ok(entries) = std::fs::read_dir(&self.dir) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let session = name.to_str().and_then(|name| name.parse::<SessionId>().ok());
            if let Some(session) = session.filter(|session| !live(*session) && self.is_dead(*session)) {
                let _ = std::fs::remove_file(self.file(session));
            }
        }
    }
}

/// Opens and locks a session's file; none: somebody else holds the lock.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = open(path, true)?;
        match file.try_lock() {
            // A sweep may have removed the file between the two steps: then the lock is on nothing.
            Ok(()) if path.try_exists()? => return Ok(Some(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(n: u64) -> SessionId {
        SessionId::from_random(n, n)
    }

    #[test]
    fn a_free_lock_proves_death_and_a_missing_file_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.db");
        let (ours, theirs) = (
            SessionLocks::beside(&file).unwrap(),
            SessionLocks::beside(&file).unwrap(),
        );
        assert!(!ours.is_dead(session(1)), "no file");
        theirs.hold(session(1));
        assert!(!ours.is_dead(session(1)) && !theirs.is_dead(session(1)), "held");
        drop(theirs);
        assert!(ours.is_dead(session(1)), "its holder is gone");
        ours.hold(session(1));
        assert!(!ours.is_dead(session(1)), "adopted");
        ours.end(session(1));
        assert!(!ours.file(session(1)).exists());
    }

    #[test]
    fn a_sweep_removes_only_what_nobody_needs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.db");
        let (ours, theirs) = (
            SessionLocks::beside(&file).unwrap(),
            SessionLocks::beside(&file).unwrap(),
        );
        for n in 1..=3 {
            theirs.hold(session(n));
        }
        theirs.held().remove(&session(1));
        theirs.held().remove(&session(2));
        ours.turn().unwrap();
        ours.sweep(|id| id == session(2));
        let left: Vec<bool> = (1..=3).map(|n| ours.file(session(n)).exists()).collect();
        assert_eq!(left, [false, true, true]);
        assert!(ours.dir.join(TURN).exists());
    }
}

//! The files of a store: one process has them, and they can be opened again after an error of the disk, behind which sled
//! itself does not go on.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use retry_core::store::{Durability, StoreError, StoreErrorKind};

use crate::config::OpenError;
use crate::disk::Disk;
use crate::draft::{Changes, batch};
use crate::error::{During, Failure, Fault, Outcome, classify, store_error};
use crate::schema;

/// The file whose lock says that a process has the directory.
pub(crate) const LOCK: &str = "task-retry.lock";

/// The files of one store. Reads share the lock, so that they see whole batches; a batch is applied alone.
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
    cache: u64,
    /// What a write is worth when the power is cut.
    pub(crate) durability: Durability,
    /// None after an error of a commit, until they are opened again.
    disk: RwLock<Option<Disk>>,
    /// Held as long as the store is open.
    _lock: File,
}

/// The open files, shared with others that read.
pub(crate) struct Reading<'f>(RwLockReadGuard<'f, Option<Disk>>);

impl Reading<'_> {
    /// None: the files are closed after an error.
    pub(crate) fn disk(&self) -> Option<&Disk> {
        self.0.as_ref()
    }
}

impl Files {
    /// Takes a directory and opens the store in it, creating both if there are none.
    pub(crate) fn open(dir: &Path, cache: u64) -> Result<Self, OpenError> {
        let failed = |fault| OpenError::Store(store_error(fault, During::Call, dir));
        create_dir(dir).map_err(|error| failed(error.into()))?;
        schema::check_directory(dir).map_err(failed)?;
        let lock = lock(dir)?;
        let disk = open(dir, cache).map_err(|fault| match fault {
            Fault::Sled(error) if is_locked(&error) => OpenError::InUse(dir.to_owned()),
            fault => failed(fault),
        })?;
        let durability = if disk.is_written_through {
            Durability::Synced
        } else {
            tracing::warn!(path = %dir.display(), "the file system cannot be told to write through; a power cut may damage the store");
            Durability::None
        };
        Ok(Self {
            dir: dir.to_owned(),
            cache,
            durability,
            disk: RwLock::new(Some(disk)),
            _lock: lock,
        })
    }

    pub(crate) fn read(&self) -> Reading<'_> {
        Reading(self.disk.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn alone(&self) -> RwLockWriteGuard<'_, Option<Disk>> {
        self.disk.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the files again if an error has closed them.
    pub(crate) fn ensure_open(&self) -> Result<(), Failure> {
        if self.read().disk().is_some() {
            return Ok(());
        }
        let disk = open(&self.dir, self.cache).map_err(|fault| classify(fault, During::Call, &self.dir))?;
        tracing::info!(path = %self.dir.display(), "the store was opened again after an error");
        *self.alone() = Some(disk);
        Ok(())
    }

    /// Writes a batch and brings it to the disk. After an error the files are closed: what sled has in memory may differ
    /// from what is on the disk.
    pub(crate) fn commit(&self, changes: Changes) -> Result<(), Failure> {
        let applied = match self.alone().as_ref() {
            Some(disk) => disk.apply(batch(changes)),
            None => Err(closed().into()),
        };
        // Reads go on while the disk works.
        let done = applied.and_then(|()| match self.read().disk() {
            Some(disk) => disk.sync(),
            None => Err(closed().into()),
        });
        done.map_err(|fault| {
            let failure = classify(fault, During::Commit, &self.dir);
            tracing::error!(error = %StoreError::from(&failure), "a commit failed; the store is opened again with the next call");
            self.close();
            failure
        })
    }

    /// Closes the files.
    pub(crate) fn close(&self) {
        if let Some(disk) = self.alone().take() {
            disk.close();
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.close();
    }
}

/// The answer while the files are closed after an error.
pub(crate) fn closed() -> StoreError {
    StoreError::rejected(
        StoreErrorKind::Unavailable,
        "the store's files were closed after an error; they are opened again with the next call",
    )
}

/// sled's threads may hold its file for a moment after it was closed; this long is waited for them.
const TRIES: u32 = 400;
const PAUSE: Duration = Duration::from_millis(5);

fn open(dir: &Path, cache: u64) -> Outcome<Disk> {
    remove_unfinished(dir)?;
    let mut tries = 0;
    let disk = loop {
        match Disk::open(dir, cache) {
            Err(Fault::Sled(error)) if is_locked(&error) && tries < TRIES => pause(),
            opened => break opened?,
        }
        tries += 1;
    };
    schema::migrate(&disk)?;
    Ok(disk)
}

/// Removes what sled was writing when its process ended or the disk was full, and what it would take for damage: a
/// snapshot without its last name, which is only a short cut through the log, and settings without a log.
fn remove_unfinished(dir: &Path) -> Outcome<()> {
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let unfinished = name
            .to_str()
            .is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating"));
        if unfinished || name == "conf" && is_empty(&dir.join("db"))? {
            std::fs::remove_file(dir.join(name))?;
        }
    }
    Ok(())
}

/// Whether nothing was ever written to a file.
fn is_empty(path: &Path) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(found.len() == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Waits a moment, in real time, not the injected clock's: sled's threads live in it.
fn pause() {
    let (nothing, nobody) = (Mutex::new(()), Condvar::new());
    let guard = nothing.lock().unwrap_or_else(PoisonError::into_inner);
    // Nobody notifies: the time-out is the pause.
    drop(nobody.wait_timeout(guard, PAUSE));
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let failed = |error: io::Error| OpenError::Store(store_error(error.into(), During::Call, dir));
    let file = options.open(dir.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// sled has a lock of its own, which another program may hold.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

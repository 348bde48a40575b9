//! sled, as the store uses it: every access guarded, because sled shows damage as a panic, and every write brought to the
//! disk before it counts, which sled's own flush on Linux does not do.

use std::fs::{File, OpenOptions};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sled::{Batch, Db, IVec, Tree};

use crate::error::{Fault, Outcome, panic_text};
use crate::view::{View, Visit};
use crate::write_through;

/// The tree in sled's database that holds everything.
const TREE: &str = "task-retry";

/// The open database.
pub(crate) struct Disk {
    tree: Tree,
    db: Db,
    /// A handle of our own to sled's file.
    file: File,
    /// Whether each write of sled is on the disk when it returns.
    pub(crate) is_written_through: bool,
}

/// Runs an access to sled; its panic is a fault.
fn guarded<T, E: Into<Fault>>(access: impl FnOnce() -> Result<T, E>) -> Outcome<T> {
    match catch_unwind(AssertUnwindSafe(access)) {
        Ok(result) => result.map_err(Into::into),
        Err(panic) => Err(Fault::Panic(panic_text(panic.as_ref()))),
    }
}

impl Disk {
    /// Opens the database in a directory, creating it if there is none.
    pub(crate) fn open(dir: &Path, cache: u64) -> Outcome<Self> {
        let is_written_through = write_through::demand(dir)?;
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache)
            .flush_every_ms(None);
        let db = guarded(|| config.open())?;
        let tree = guarded(|| db.open_tree(TREE))?;
        let file = OpenOptions::new().read(true).write(true).open(dir.join("db"))?;
        let disk = Self {
            tree,
            db,
            file,
            is_written_through,
        };
        disk.sync()?;
        sync_names(dir)?;
        Ok(disk)
    }

    /// Whether the database holds nothing, of ours or of anybody.
    pub(crate) fn is_empty(&self) -> Outcome<bool> {
        guarded(|| {
            let names = self.db.tree_names();
            let ours = |name: &IVec| name.as_ref() == TREE.as_bytes() || **name == *self.db.name();
            Ok::<_, Fault>(self.tree.is_empty() && self.db.is_empty() && names.iter().all(ours))
        })
    }

    /// Writes a batch, all or nothing. It is in memory then: [`sync`](Self::sync) follows.
    pub(crate) fn apply(&self, batch: Batch) -> Outcome<()> {
        guarded(|| self.tree.apply_batch(batch))
    }

    /// Brings all that was written to the disk: sled's log first, then, where the writes do not do it themselves, the file
    /// with its length.
    pub(crate) fn sync(&self) -> Outcome<()> {
        guarded(|| self.db.flush())?;
        if self.is_written_through {
            return Ok(());
        }
        Ok(self.file.sync_all()?)
    }

    /// Bytes of its files.
    pub(crate) fn size(&self) -> Outcome<u64> {
        guarded(|| self.db.size_on_disk())
    }

    /// Visits the keys before `to`, from `from` on, the last first.
    pub(crate) fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Outcome<()> {
        if from >= to {
            return Ok(());
        }
        guarded(|| {
            for entry in self.tree.range(from..to).rev() {
                let (key, value) = entry?;
                if !visit(&key, &value) {
                    break;
                }
            }
            Ok::<_, Fault>(())
        })
    }

    /// The entries of a range; each step is guarded by the caller.
    pub(crate) fn range(&self, from: &[u8], to: &[u8]) -> sled::Iter {
        self.tree
            .range::<&[u8], _>((Bound::Included(from), Bound::Excluded(to)))
    }

    /// Closes the database. Its last flush may panic too.
    pub(crate) fn close(self) {
        if let Err(Fault::Panic(text)) = guarded(|| {
            drop(self);
            Ok::<_, Fault>(())
        }) {
            tracing::warn!(text, "sled panicked while it was closed");
        }
    }
}

impl View for Disk {
    fn get(&self, key: &[u8]) -> Outcome<Option<IVec>> {
        guarded(|| self.tree.get(key))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Outcome<()> {
        if from >= to {
            return Ok(());
        }
        guarded(|| {
            for entry in self.range(from, to) {
                let (key, value) = entry?;
                if !visit(&key, &value) {
                    break;
                }
            }
            Ok::<_, Fault>(())
        })
    }
}

/// Runs what walks over several entries of the database; a panic of sled in it is a fault.
pub(crate) fn walk<T>(access: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    guarded(access)
}

/// Makes the names of the files last: each file, their directory, and the name of the directory in its parent.
fn sync_names(dir: &Path) -> Outcome<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_dir(dir)?;
    match dir.canonicalize()?.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

#[cfg(unix)]
fn sync_dir(dir: &Path) -> Outcome<()> {
    Ok(File::open(dir)?.sync_all()?)
}

/// Elsewhere a directory cannot be opened, and the system keeps names by itself.
#[cfg(not(unix))]
fn sync_dir(_dir: &Path) -> Outcome<()> {
    Ok(())
}

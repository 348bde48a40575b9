//! The format of the files: marked in them, so that another program's directory, or a newer format, is refused.

use std::path::Path;

use retry_core::store::{StoreError, StoreErrorKind};
use sled::IVec;

use crate::disk::Disk;
use crate::draft::{Changes, batch};
use crate::error::Outcome;
use crate::files::LOCK;
use crate::keys;
use crate::view::View;

/// The format that this program writes.
pub(crate) const FORMAT: u32 = 1;

/// What sled and the store have in a directory, and what a fresh file system has in its root.
const OURS: [&str; 5] = ["db", "conf", "blobs", LOCK, "lost+found"];

/// Refuses a directory in which other files are, before anything is written to it.
pub(crate) fn check_directory(dir: &Path) -> Outcome<()> {
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let ours = name
            .to_str()
            .is_some_and(|name| OURS.contains(&name) || name.starts_with("snap."));
        if !ours {
            return Err(foreign(dir, "other files are in the directory").into());
        }
    }
    Ok(())
}

/// Marks an empty database as a store, and refuses what is none, or newer. Of an import that was cut off nothing is left.
pub(crate) fn migrate(disk: &Disk) -> Outcome<()> {
    let Some(version) = disk.get(keys::VERSION)? else {
        return create(disk);
    };
    let version = <[u8; 4]>::try_from(version.as_ref()).map(u32::from_be_bytes);
    match version {
        Ok(FORMAT) => {}
        Ok(newer) if newer > FORMAT => {
            return Err(StoreError::rejected(
                StoreErrorKind::Schema,
                format!("the store has format {newer}, this program knows {FORMAT}; use a newer program"),
            )
            .into());
        }
        Ok(_) | Err(_) => {
            return Err(StoreError::rejected(
                StoreErrorKind::Schema,
                "the mark of the store's format is damaged; restore a backup",
            )
            .into());
        }
    }
    if disk.has(keys::IMPORTING)? {
        tracing::warn!("an import was cut off; what it left is removed");
        clear(disk)?;
    }
    Ok(())
}

fn create(disk: &Disk) -> Outcome<()> {
    if !disk.is_empty()? {
        return Err(StoreError::rejected(
            StoreErrorKind::Schema,
            "the directory holds another program's sled database; choose another directory",
        )
        .into());
    }
    let mark = (keys::VERSION.to_vec(), Some(IVec::from(&FORMAT.to_be_bytes())));
    disk.apply(batch(Changes::from([mark])))?;
    disk.sync()
}

/// Removes all but the mark of the format; the mark of an import goes last.
pub(crate) fn clear(disk: &Disk) -> Outcome<()> {
    /// Keys of one batch.
    const AT_ONCE: usize = 10_000;
    loop {
        let mut changes = Changes::new();
        disk.scan(&[], &[0xff], &mut |key, _| {
            if key != keys::VERSION && key != keys::IMPORTING {
                changes.insert(key.to_vec(), None);
            }
            changes.len() < AT_ONCE
        })?;
        if changes.is_empty() {
            break;
        }
        disk.apply(batch(changes))?;
        disk.sync()?;
    }
    disk.apply(batch(Changes::from([(keys::IMPORTING.to_vec(), None)])))?;
    disk.sync()
}

fn foreign(dir: &Path, what: &str) -> StoreError {
    StoreError::rejected(
        StoreErrorKind::Schema,
        format!(
            "{}: this is no directory of a store: {what}; choose an empty one, or one that does not exist yet",
            dir.display()
        ),
    )
}

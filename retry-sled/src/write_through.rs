//! Write-through: has the file system bring each write of sled to the disk before it returns.
//!
//! sled 0.34 orders its log by what it takes for written. On Linux it asks for that with `sync_file_range`, which leaves the
//! file's length and the allocation of its blocks to the journal of the file system. A segment at the end of the file is then
//! lost in a power cut, while a later one, written over a segment that was free, is there and says that all before it is
//! stable. sled believes it, and cuts off or zeroes what it still needs. No sync after the write mends that: a write that is
//! longer than a segment has done the harm before it ends. So the writes themselves must be synchronous, and the file
//! system's flag for that is the one way to ask for it, since sled opens its files itself.

use std::path::Path;

use crate::error::Outcome;

/// Demands it for a directory and the files that are in it or come later. False: the file system does not know the flag, or
/// this user may not set it; a power cut may then leave files that sled refuses to open.
#[cfg(target_os = "linux")]
pub(crate) fn demand(dir: &Path) -> Outcome<bool> {
    use std::fs::{File, OpenOptions};

    // The directory first: what is made in it inherits the flag where the file system knows inheritance.
    let mut all = linux::flag(&File::open(dir)?);
    // sled would make the file, and write to it, in one go.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join("db"))?;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            all &= linux::flag(&File::open(entry.path())?);
        }
    }
    Ok(all)
}

/// On other systems sled syncs the whole file after every write.
#[cfg(not(target_os = "linux"))]
pub(crate) fn demand(_dir: &Path) -> Outcome<bool> {
    Ok(true)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;

    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

    /// Sets the flag of synchronous writes, unless it is set.
    pub(super) fn flag(file: &File) -> bool {
        ioctl_getflags(file).is_ok_and(|flags| {
            flags.contains(IFlags::SYNC) || ioctl_setflags(file, flags | IFlags::SYNC).is_ok()
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;

    use rustix::fs::{IFlags, ioctl_getflags};

    use crate::SledStore;

    #[test]
    fn every_file_is_written_through_or_the_store_promises_less() {
        use retry_core::store::{Durability, TaskStore as _};

        let dir = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            let store = SledStore::open(dir.path()).unwrap();
            let files = std::fs::read_dir(dir.path())
                .unwrap()
                .map(|entry| entry.unwrap().path());
            let written: Vec<_> = files
                .filter(|path| path.is_file() && !path.ends_with(crate::files::LOCK))
                .map(|path| (ioctl_getflags(File::open(&path).unwrap()), path))
                .collect();
            assert!(
                written.iter().any(|(_, path)| path.ends_with("db")),
                "{written:?}"
            );
            let through =
                |flags: &rustix::io::Result<IFlags>| flags.is_ok_and(|flags| flags.contains(IFlags::SYNC));
            let all = written.iter().all(|(flags, _)| through(flags));
            let promised = if all { Durability::Synced } else { Durability::None };
            assert_eq!(store.durability(), promised, "{written:?}");
        }
    }
}

//! The file: one line of JSON for each call that changed something, synced before the call is answered.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use retry_core::store::{Result, StoreError, StoreErrorKind};

use crate::rows::Rows;
use crate::stored::Line;

/// The open file.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
}

impl Log {
    /// Opens the file, alone, and reads what it tells. A last line without its end is one that was never answered.
    pub(crate) fn open(path: &Path) -> Result<(Self, Rows)> {
        let failed = |error: std::io::Error| error_of(path, &error);
        let mut options = OpenOptions::new();
        let options = options.read(true).append(true).create(true);
        let mut file = options.open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = format!("{}: another process has the store open", path.display());
                return Err(StoreError::rejected(StoreErrorKind::Unavailable, what));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(failed)?;
        let length = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let mut rows = Rows::default();
        for (number, line) in (1..).zip(text[..length].split_inclusive(|byte| *byte == b'\n')) {
            let line = serde_json::from_slice(line).map_err(|error| damaged(path, number, error))?;
            Line::apply(line, &mut rows);
        }
        rows.finish(true);
        let log = Self {
            path: path.to_owned(),
            file,
            length: length as u64,
        };
        log.cut()?;
        sync_name(path).map_err(failed)?;
        Ok((log, rows))
    }

    /// Writes what the present call changed. When it fails nothing of it is left, or nobody knows.
    pub(crate) fn append(&mut self, rows: &Rows) -> Result<()> {
        let line = Line::of(rows);
        if line.is_empty() {
            return Ok(());
        }
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            let error = error_of(&self.path, &error);
            // Cut off what came through. If that fails too, the next start may find the line.
            return Err(if self.cut().is_ok() {
                error
            } else {
                error.into_unknown()
            });
        }
        self.length += text.len() as u64;
        Ok(())
    }

    /// Cuts the file behind its last whole line.
    fn cut(&self) -> Result<()> {
        let mut file = &self.file;
        self.file
            .set_len(self.length)
            .and_then(|()| self.file.sync_all())
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .map(drop)
            .map_err(|error| error_of(&self.path, &error))
    }
}

/// Makes the file's name last.
fn sync_name(path: &Path) -> std::io::Result<()> {
    match path.canonicalize()?.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Sorts the system's errors once, for all callers.
fn error_of(path: &Path, error: &std::io::Error) -> StoreError {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreErrorKind::Full,
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            StoreErrorKind::ReadOnly
        }
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::rejected(kind, format!("{}: {error}", path.display()))
}

fn damaged(path: &Path, line: usize, error: serde_json::Error) -> StoreError {
    let what = format!("{}: line {line} is damaged; restore a backup", path.display());
    StoreError::rejected(StoreErrorKind::Corrupt, what).with_source(error)
}

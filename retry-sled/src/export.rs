//! Export: the whole store as lines of JSON, for a backup, a look, or a move to another store.

use std::fmt;
use std::io::{self, Write};

use retry_core::store::{BadRecord, StoreError};

use crate::calls::with_disk;
use crate::disk::Disk;
use crate::error::{During, Outcome, store_error};
use crate::keys;
use crate::lines::{End, FORMAT, Header, Line, QueueLine, TaskLine, VERSION};
use crate::queues;
use crate::read::load_detail;
use crate::record::{Damage, Row};
use crate::store::SledStore;
use crate::view::View;

/// What an export wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Exported {
    /// Tasks, with their history.
    pub tasks: u64,
    /// Paused queues.
    pub queues: u64,
    /// Tasks that cannot be read and were passed over.
    pub bad: Vec<BadRecord>,
}

/// Why an export was not completed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExportError {
    /// The store cannot be read.
    Store(StoreError),
    /// The stream cannot be written.
    Write(io::Error),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Write(_) => f.write_str("the export cannot be written to its stream"),
        }
    }
}

impl std::error::Error for ExportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Write(error) => Some(error),
        }
    }
}

impl From<serde_json::Error> for ExportError {
    fn from(error: serde_json::Error) -> Self {
        Self::Write(error.into())
    }
}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl SledStore {
    /// Writes the whole store as lines of JSON, as it is between two writes: tasks with their history, keys, parents and
    /// settings, and paused queues. [`SledBuilder::import`](crate::SledBuilder::import) reads them.
    ///
    /// It blocks, and writes wait until it is done, as do reads that come behind a waiting write: write to a file or to memory, not to a slow peer, and from an async
    /// program call it where blocking is allowed. The stream holds payloads, headers and the secrets of waits: keep it as
    /// safe as the store.
    ///
    /// # Errors
    /// The store cannot be read, or the stream not written; the stream is not complete then, and an import refuses it.
    pub fn export(&self, out: impl Write) -> Result<Exported, ExportError> {
        let mut result = Ok(Exported::default());
        let files = &self.inner.files;
        // A failure to write is no fault of the store.
        let read = with_disk(files, |disk| {
            result = write_all(disk, out)?;
            Ok(())
        });
        read.map_err(|fault| ExportError::Store(store_error(fault, During::Call, &files.dir)))?;
        result
    }
}

/// Tasks whose keys are read at once.
const AT_ONCE: usize = 1_000;

fn write_all(disk: &Disk, out: impl Write) -> Outcome<Result<Exported, ExportError>> {
    let mut lines = Lines {
        out: io::BufWriter::new(out),
        exported: Exported::default(),
    };
    let mut written = lines.begin(&queues::paused(disk)?);
    let mut from = vec![keys::ROW];
    let end = keys::behind(&from);
    while written.is_ok() {
        let mut rows = Vec::with_capacity(AT_ONCE);
        disk.scan(&from, &end, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            rows.len() < AT_ONCE
        })?;
        let Some((last, _)) = rows.last() else { break };
        from.clone_from(last);
        from.push(0);
        for (key, value) in &rows {
            written = lines.task(disk, key, value)?;
            if written.is_err() {
                break;
            }
        }
    }
    Ok(written.and_then(|()| lines.end()))
}

/// The stream at work.
struct Lines<W: Write> {
    out: io::BufWriter<W>,
    exported: Exported,
}

impl<W: Write> Lines<W> {
    fn line(&mut self, line: &Line) -> Result<(), ExportError> {
        serde_json::to_writer(&mut self.out, line)?;
        Ok(self.out.write_all(b"\n")?)
    }

    fn begin(&mut self, paused: &[retry_core::name::Queue]) -> Result<(), ExportError> {
        self.line(&Line::Header(Header {
            format: FORMAT.to_owned(),
            version: VERSION,
        }))?;
        for queue in paused {
            self.exported.queues += 1;
            self.line(&Line::Queue(QueueLine {
                queue: queue.clone(),
                paused: true,
            }))?;
        }
        Ok(())
    }

    fn task(&mut self, disk: &Disk, key: &[u8], value: &[u8]) -> Outcome<Result<(), ExportError>> {
        let Some(id) = keys::id_at_end(key) else {
            return Ok(Ok(()));
        };
        let read = match Row::decode(id, value) {
            Ok(row) => {
                let nonce = row.nonce;
                load_detail(disk, row)?.map(|detail| TaskLine::of(detail, nonce))
            }
            Err(damage) => Err(damage),
        };
        Ok(match read {
            Ok(task) => {
                self.exported.tasks += 1;
                self.line(&Line::Task(Box::new(task)))
            }
            Err(Damage(reason)) => {
                self.exported.bad.push(BadRecord {
                    id,
                    version: 0,
                    reason: reason.to_owned(),
                });
                Ok(())
            }
        })
    }

    fn end(mut self) -> Result<Exported, ExportError> {
        let end = End {
            queues: self.exported.queues,
            tasks: self.exported.tasks,
            unreadable: self.exported.bad.len() as u64,
        };
        self.line(&Line::End(end))?;
        self.out.flush()?;
        Ok(self.exported)
    }
}

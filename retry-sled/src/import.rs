//! Import: an export becomes a new store, whole or not at all.

use std::fmt;
use std::io::{self, BufRead, Read as _};

use retry_core::id::TaskId;
use retry_core::store::StoreError;
use retry_core::task::State;
use retry_core::time::Timestamp;
use sled::IVec;

use crate::audit::{self, Audit};
use crate::calls::with_disk;
use crate::config::{OpenError, SledBuilder};
use crate::draft::{Changes, Draft};
use crate::effects::Effects;
use crate::error::{During, Fault, Outcome, store_error};
use crate::files::Files;
use crate::keys;
use crate::lines::{End, FORMAT, Line, TaskLine, VERSION};
use crate::parents;
use crate::record::Damage;
use crate::rows;
use crate::schema;
use crate::store::SledStore;
use crate::view::View;

/// The longest line that is read: more than a task with the largest payload, checkpoint, completions and output takes,
/// each character escaped.
pub const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;

/// Keys written at once.
const AT_ONCE: usize = 20_000;

/// What an import read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Imported {
    /// Tasks, with their history.
    pub tasks: u64,
    /// Paused queues.
    pub queues: u64,
}

/// Why an import was refused. Nothing of it is left in the directory.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportError {
    /// The directory cannot be used.
    Open(OpenError),
    /// The directory holds a store that is not empty.
    NotEmpty,
    /// The stream cannot be read further than the line before.
    Read {
        /// The line, from 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// A line is not what an export writes.
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The lines are sound and contradict each other; such as a parent whose children are others than it counts.
    Contradiction {
        /// The last line.
        line: u64,
        /// The first contradiction.
        reason: String,
    },
    /// The store cannot be written.
    Store(StoreError),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::NotEmpty => {
                f.write_str("the directory holds a store that is not empty; import into an empty directory")
            }
            Self::Read { line, .. } => write!(f, "line {line} of the import cannot be read"),
            Self::Line { line, reason } => write!(f, "line {line} of the import: {reason}"),
            Self::Contradiction { line, reason } => {
                write!(
                    f,
                    "the import, whole at line {line}, contradicts itself: {reason}"
                )
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ImportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(error) => error.source(),
            Self::Read { source, .. } => Some(source),
            Self::Store(error) => error.source(),
            Self::NotEmpty | Self::Line { .. } | Self::Contradiction { .. } => None,
        }
    }
}

impl SledBuilder {
    /// Opens a new store that holds what [`SledStore::export`] wrote. It blocks until all is on the disk.
    ///
    /// The directory must be empty, or hold an empty store. Nobody sees a part of the import: when it is refused, or the
    /// program is killed in the middle, the store is empty as before. Running tasks come in as running under sessions
    /// that do not exist, so a rescuer reports them as lost at once; **end the exported store's workers first**, else both
    /// run them. Children that the export could not read count as failed.
    ///
    /// # Errors
    /// [`ImportError`], which names the line.
    pub fn import(self, input: impl BufRead) -> Result<(SledStore, Imported), ImportError> {
        let config = self
            .checked()
            .map_err(|error| ImportError::Open(OpenError::Config(error)))?;
        let files = Files::open(&config.path, config.cache).map_err(ImportError::Open)?;
        let imported = Import::begin(&files)?.run(input, config.clock.now());
        let imported = match imported {
            Ok(imported) => imported,
            Err(error) => {
                // What is left, if this fails too, is removed when the store is opened.
                if let Err(fault) = with_disk(&files, schema::clear) {
                    tracing::warn!(?fault, "what a refused import left could not be removed yet");
                }
                return Err(error);
            }
        };
        let store = SledStore::start_on(config, files).map_err(ImportError::Open)?;
        Ok((store, imported))
    }
}

/// An import at work. Until it is complete the store is marked, and emptied by whoever opens it.
struct Import<'f> {
    files: &'f Files,
    line: u64,
    imported: Imported,
}

impl<'f> Import<'f> {
    fn begin(files: &'f Files) -> Result<Self, ImportError> {
        let import = Self {
            files,
            line: 0,
            imported: Imported::default(),
        };
        let is_empty = with_disk(files, |disk| {
            let first = disk.first(&[], keys::VERSION)?;
            let behind = disk.first(&keys::behind(keys::VERSION), &[0xff])?;
            Ok(first.is_none() && behind.is_none())
        });
        if !is_empty.map_err(|fault| import.store(fault))? {
            return Err(ImportError::NotEmpty);
        }
        let mark = (keys::IMPORTING.to_vec(), Some(IVec::default()));
        import.commit(Changes::from([mark]))?;
        Ok(import)
    }

    fn run(mut self, mut input: impl BufRead, now: Timestamp) -> Result<Imported, ImportError> {
        match self.next(&mut input)? {
            Some(Line::Header(header)) if header.format != FORMAT => {
                return Err(self.wrong("this is an export of another program"));
            }
            Some(Line::Header(header)) if header.version != VERSION => {
                return Err(self.wrong(format!(
                    "the export has version {}, this program reads {VERSION}",
                    header.version
                )));
            }
            Some(Line::Header(_)) => {}
            _ => return Err(self.wrong("an export begins with its header")),
        }
        let end = self.tasks(&mut input)?;
        if self.next(&mut input)?.is_some() {
            return Err(self.wrong("a line follows the end of the export"));
        }
        self.complete(end, now)?;
        self.commit(Changes::from([(keys::IMPORTING.to_vec(), None)]))?;
        Ok(self.imported)
    }

    /// Writes the lines up to the end.
    fn tasks(&mut self, input: &mut impl BufRead) -> Result<End, ImportError> {
        loop {
            let mut end = None;
            let changes = {
                let reading = self.files.read();
                let Some(disk) = reading.disk() else {
                    return Err(self.store(crate::files::closed().into()));
                };
                let mut draft = Draft::new(disk);
                while end.is_none() && draft.len() < AT_ONCE {
                    draft.begin();
                    end = self.one(input, &mut draft)?;
                }
                draft.into_changes()
            };
            self.commit(changes)?;
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    /// Drafts one line; answers the end.
    fn one(&mut self, input: &mut impl BufRead, draft: &mut Draft<'_>) -> Result<Option<End>, ImportError> {
        match self.next(input)? {
            Some(Line::Task(task)) => {
                self.task(*task, draft)?;
                self.imported.tasks += 1;
                Ok(None)
            }
            Some(Line::Queue(queue)) => {
                if queue.paused {
                    draft.put(keys::paused(&queue.queue), IVec::default());
                }
                self.imported.queues += 1;
                Ok(None)
            }
            Some(Line::End(end)) => {
                let Imported { tasks, queues } = self.imported;
                if (end.tasks, end.queues) != (tasks, queues) {
                    return Err(self.wrong(format!(
                        "the end tells {} tasks and {} queues, and {tasks} and {queues} came",
                        end.tasks, end.queues
                    )));
                }
                Ok(Some(end))
            }
            Some(Line::Header(_)) => Err(self.wrong("a second header")),
            None => Err(self.wrong("the export stops without its end: it was cut off")),
        }
    }

    fn task(&self, line: TaskLine, draft: &mut Draft<'_>) -> Result<(), ImportError> {
        let (mut row, body, mut note, failures) =
            line.parts().map_err(|Damage(reason)| self.wrong(reason))?;
        let id = row.task.id;
        let mut write = || -> Outcome<Option<&'static str>> {
            if draft.has(&keys::row(id))? {
                return Ok(Some("a task with this id came before"));
            }
            if let (true, Some((key, _))) = (row.task.holds_key, &row.task.unique)
                && rows::key_holder(draft, &row.task.kind, key)?.is_some()
            {
                return Ok(Some("its unique key is held by a task that came before"));
            }
            rows::set_body(draft, &mut row, body.clone())?;
            for failure in &failures {
                rows::add_failure(draft, id, &mut note, failure)?;
            }
            rows::set_note(draft, &mut row, &note)?;
            rows::write(draft, None, &row)?;
            Ok(None)
        };
        match write().map_err(|fault| self.store(fault))? {
            Some(reason) => Err(self.wrong(reason)),
            None => Ok(()),
        }
    }

    /// Compares all with all. Children that were not exported end their parents' wait for them.
    fn complete(&self, end: End, now: Timestamp) -> Result<(), ImportError> {
        let audited = |import: &Self| -> Result<Audit, ImportError> {
            with_disk(import.files, audit::audit).map_err(|fault| import.store(fault))
        };
        let mut audit = audited(self)?;
        if end.unreadable > 0 && !audit.missing_children.is_empty() {
            let changes = with_disk(self.files, |disk| {
                let mut draft = Draft::new(disk);
                for (parent, missing) in &audit.missing_children {
                    end_children(&mut draft, *parent, *missing, now)?;
                }
                Ok(draft.into_changes())
            });
            self.commit(changes.map_err(|fault| self.store(fault))?)?;
            audit = audited(self)?;
        }
        if audit.is_sound() {
            return Ok(());
        }
        Err(ImportError::Contradiction {
            line: self.line,
            reason: audit.told.into_iter().next().unwrap_or_default(),
        })
    }

    /// The next line; none at the end of the stream.
    fn next(&mut self, input: &mut impl BufRead) -> Result<Option<Line>, ImportError> {
        self.line += 1;
        let mut bytes = Vec::new();
        let read = input.take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes);
        match read {
            Err(source) => Err(ImportError::Read {
                line: self.line,
                source,
            }),
            Ok(0) => Ok(None),
            Ok(n) if n as u64 == MAX_LINE_BYTES && bytes.last() != Some(&b'\n') => {
                Err(self.wrong(format!("the line is longer than {MAX_LINE_BYTES} bytes")))
            }
            Ok(_) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| self.wrong(error.to_string())),
        }
    }

    fn wrong(&self, reason: impl Into<String>) -> ImportError {
        ImportError::Line {
            line: self.line,
            reason: reason.into(),
        }
    }

    fn store(&self, fault: Fault) -> ImportError {
        ImportError::Store(store_error(fault, During::Call, &self.files.dir))
    }

    fn commit(&self, changes: Changes) -> Result<(), ImportError> {
        if changes.is_empty() {
            return Ok(());
        }
        let committed = self.files.commit(changes);
        committed.map_err(|failure| ImportError::Store(StoreError::from(&failure)))
    }
}

/// Tells a parent that so many of its children ended badly.
fn end_children(draft: &mut Draft<'_>, parent: TaskId, children: u32, now: Timestamp) -> Outcome<()> {
    tracing::warn!(%parent, children, "children that could not be exported count as failed");
    let states = (State::Pending, State::Failed);
    for _ in 0..children {
        parents::child_changed(draft, Some(parent), states, now, &mut Effects::default())?;
    }
    Ok(())
}

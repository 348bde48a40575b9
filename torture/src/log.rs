//! The log of one process: lines appended to a file of its own, on the disk before the writer goes on.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use crate::clock::Watch;
use crate::event::{Event, Line};

/// A handle on the log; clones write to the same file.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    lines: Sender<Entry>,
    watch: Watch,
}

#[derive(Debug)]
struct Entry {
    text: String,
    synced: Option<oneshot::Sender<()>>,
}

impl Log {
    /// A new log.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.with_context(|| path.display().to_string())?;
        let (lines, entries) = channel();
        std::thread::spawn(move || write_all(file, &entries));
        Ok(Self {
            lines,
            watch: Watch::start(),
        })
    }

    /// Writes events and returns when they are on the disk.
    pub(crate) async fn write(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let (synced, done) = oneshot::channel();
        self.send(events, Some(synced));
        // The thread ends with the process only.
        let _ = done.await;
    }

    /// Writes events soon.
    pub(crate) fn note(&self, events: Vec<Event>) {
        self.send(events, None);
    }

    fn send(&self, events: Vec<Event>, synced: Option<oneshot::Sender<()>>) {
        let at = self.watch.now();
        let lines = events.into_iter().map(|event| {
            let line = serde_json::to_string(&Line { at, event });
            line.unwrap_or_default() + "\n"
        });
        let text = lines.collect();
        let _ = self.lines.send(Entry { text, synced });
    }
}

/// What gathers while one group is brought to the disk goes together in the next.
fn write_all(mut file: File, entries: &Receiver<Entry>) {
    while let Ok(first) = entries.recv() {
        let group: Vec<Entry> = std::iter::once(first).chain(entries.try_iter()).collect();
        let text: String = group.iter().map(|entry| entry.text.as_str()).collect();
        let written = file.write_all(text.as_bytes()).and_then(|()| {
            let wanted = group.iter().any(|entry| entry.synced.is_some());
            if wanted { file.sync_data() } else { Ok(()) }
        });
        if let Err(error) = written {
            // Without its log a process proves nothing.
            eprintln!("the log cannot be written: {error}");
            std::process::abort();
        }
        for synced in group.into_iter().filter_map(|entry| entry.synced) {
            let _ = synced.send(());
        }
    }
}

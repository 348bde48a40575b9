//! What one thread remembers between calls: names and settings, of which there are few, so that reading a row neither
//! checks nor allocates them anew.

use std::collections::{HashMap, HashSet};

use retry_core::name::{Kind, Queue};
use retry_core::task::Settings;

use crate::settings;

/// More distinct values than this are forgotten together: a file with unusual data must not fill the memory.
const MAX_REMEMBERED: usize = 4_096;

/// Names and settings seen before.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    queues: HashSet<Queue>,
    kinds: HashSet<Kind>,
    read: HashMap<String, Settings>,
    written: Option<(Settings, String)>,
}

impl Memo {
    /// The queue of a stored name; none if no queue has such a name.
    pub(crate) fn queue(&mut self, name: &str) -> Option<Queue> {
        if let Some(queue) = self.queues.get(name) {
            return Some(queue.clone());
        }
        let queue = Queue::new(name).ok()?;
        bound(self.queues.len(), || self.queues.clear());
        self.queues.insert(queue.clone());
        Some(queue)
    }

    /// The kind of a stored name; none if no kind has such a name.
    pub(crate) fn kind(&mut self, name: &str) -> Option<Kind> {
        if let Some(kind) = self.kinds.get(name) {
            return Some(kind.clone());
        }
        let kind = Kind::new(name).ok()?;
        bound(self.kinds.len(), || self.kinds.clear());
        self.kinds.insert(kind.clone());
        Some(kind)
    }

    /// The settings of a stored text; none if it is damaged.
    pub(crate) fn settings(&mut self, text: &str) -> Option<Settings> {
        if let Some(settings) = self.read.get(text) {
            return Some(settings.clone());
        }
        let settings = settings::from_text(text).ok()?;
        bound(self.read.len(), || self.read.clear());
        self.read.insert(text.to_owned(), settings.clone());
        Some(settings)
    }

    /// The stored text of settings.
    pub(crate) fn settings_text(&mut self, settings: &Settings) -> &str {
        let same = self.written.as_ref().is_some_and(|(last, _)| last == settings);
        if !same {
            self.written = Some((settings.clone(), settings::to_text(settings)));
        }
        self.written.as_ref().map_or("", |(_, text)| text)
    }
}

fn bound(len: usize, clear: impl FnOnce()) {
    if len >= MAX_REMEMBERED {
        clear();
    }
}

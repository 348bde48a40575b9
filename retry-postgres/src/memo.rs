//! What one call remembers while it reads rows: the names and settings of the row before, mostly also those of the next.

use retry_core::name::{Kind, Queue};
use retry_core::task::Settings;

use crate::settings;

/// What was seen before.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    queue: Option<Queue>,
    kind: Option<Kind>,
    usual: Option<Settings>,
    read: Option<(String, Settings)>,
    written: Option<(Settings, Option<String>)>,
}

impl Memo {
    /// The queue of a stored name; none if no queue has such a name.
    pub(crate) fn queue(&mut self, name: &str) -> Option<Queue> {
        if self.queue.as_ref().is_none_or(|last| last.as_str() != name) {
            self.queue = Some(Queue::new(name).ok()?);
        }
        self.queue.clone()
    }

    /// The kind of a stored name; none if no kind has such a name.
    pub(crate) fn kind(&mut self, name: &str) -> Option<Kind> {
        if self.kind.as_ref().is_none_or(|last| last.as_str() != name) {
            self.kind = Some(Kind::new(name).ok()?);
        }
        self.kind.clone()
    }

    /// The settings of a stored text, or of none; none if it is damaged.
    pub(crate) fn settings(&mut self, text: Option<&str>) -> Option<Settings> {
        let Some(text) = text else {
            if self.usual.is_none() {
                self.usual = settings::from_text(None);
            }
            return self.usual.clone();
        };
        if self.read.as_ref().is_none_or(|(last, _)| last != text) {
            self.read = Some((text.to_owned(), settings::from_text(Some(text))?));
        }
        self.read.as_ref().map(|(_, settings)| settings.clone())
    }

    /// The stored text of settings.
    pub(crate) fn settings_text(&mut self, settings: &Settings) -> Option<String> {
        if self.written.as_ref().is_none_or(|(last, _)| last != settings) {
            self.written = Some((settings.clone(), settings::to_text(settings)));
        }
        self.written.as_ref().and_then(|(_, text)| text.clone())
    }
}

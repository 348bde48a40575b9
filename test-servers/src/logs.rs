//! What a program logs, at every level: for tests that it tells no secret.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes everything down.
#[derive(Debug, Default)]
struct Logs {
    text: Arc<Mutex<String>>,
    spans: AtomicU64,
}

/// One line.
struct Line<'t>(&'t mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Logs {
    fn line(&self, head: &dyn fmt::Display, record: impl FnOnce(&mut Line<'_>)) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = write!(text, "{head}");
        record(&mut Line(&mut text));
        text.push('\n');
    }
}

impl Subscriber for Logs {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.line(&span.metadata().name(), |line| span.record(line));
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.line(&"", |line| values.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let head = format!("{} {}:", metadata.level(), metadata.target());
        self.line(&head, |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Does `work` on a thread of its own, and gives with its value all that was logged there, down to the finest level. A runtime that
/// `work` uses must stay on its thread.
///
/// # Panics
/// As `work` does.
pub fn logged<T: Send>(work: impl FnOnce() -> T + Send) -> (T, String) {
    let logs = Logs::default();
    let text = Arc::clone(&logs.text);
    let done = std::thread::scope(|scope| {
        let done = scope
            .spawn(|| tracing::subscriber::with_default(logs, work))
            .join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let text = std::mem::take(&mut *text.lock().unwrap_or_else(PoisonError::into_inner));
    (done, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finest_level_is_heard() {
        let (sum, text) = logged(|| {
            let _span = tracing::trace_span!("adding", left = 1).entered();
            tracing::trace!(right = 2, "hidden");
            1 + 2
        });
        assert_eq!(sum, 3);
        for said in ["adding", "left=1", "right=2", "hidden"] {
            assert!(text.contains(said), "{text}");
        }
    }
}

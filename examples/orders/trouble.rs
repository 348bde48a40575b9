//! What the worker complains about: it keeps trying by itself, and whoever waits wants to know why it takes so long.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use task_retry::clock::{Clock as _, Monotonic, SystemClock};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// A complaint that was not repeated for so long is over.
const OVER: Duration = Duration::from_secs(5);

/// The last complaint. Programs that keep a log have `tracing-subscriber` write it; here one line is enough.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble {
    clock: Arc<SystemClock>,
    last: Arc<Mutex<Option<(Monotonic, String)>>>,
}

impl Trouble {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        let trouble = Self::default();
        // Somebody else may listen already; then he hears it.
        let _ = tracing::subscriber::set_global_default(trouble.clone());
        trouble
    }

    /// What is wrong now.
    pub(crate) fn now(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        let (at, why) = last.as_ref()?;
        (now.saturating_since(*at) < OVER).then(|| why.clone())
    }
}

/// The error of an event.
#[derive(Default)]
struct Why(Option<String>);

impl Visit for Why {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "error" {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

impl Subscriber for Trouble {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut why = Why::default();
        event.record(&mut why);
        if let Some(why) = why.0 {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.clock.monotonic(), why));
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_of_a_warning_is_kept() {
        let trouble = Trouble::default();
        tracing::subscriber::with_default(trouble.clone(), || {
            tracing::info!(error = "small", "passed over");
            assert_eq!(trouble.now(), None);
            let error = std::io::Error::other("the disk is full");
            tracing::warn!(%error, "the store failed");
            tracing::warn!("without an error");
        });
        assert_eq!(trouble.now().as_deref(), Some("the disk is full"));
    }
}

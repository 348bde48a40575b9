//! The task that every workload enqueues: 100 bytes of JSON, and a handler that only counts.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use retry_core::draft::{Draft, TaskPayload};
use retry_core::executor::State;
use retry_core::task::Retention;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// What fills the payload up to 100 bytes.
const FILLING: &str = "The quick brown fox jumps over the lazy dog, a dozen times a day or so";
/// Numbers start here, so that all have the same number of digits.
const FIRST: u64 = 100_000_000;

/// A payload of 100 bytes of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    number: u64,
    text: String,
}

impl TaskPayload for Job {
    const KIND: &'static str = "benchmark.job";
}

/// A kind for which no worker has a handler.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Unknown(Job);

impl TaskPayload for Unknown {
    const KIND: &'static str = "benchmark.unknown";
}

/// What becomes of a task after its success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The default: it is kept for a day.
    Keep,
    /// It is deleted in the write that settles it.
    Delete,
}

impl After {
    pub(crate) const ALL: [Self; 2] = [Self::Keep, Self::Delete];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Delete => "delete",
        }
    }
}

impl Job {
    /// The job with this number.
    pub(crate) fn new(number: usize) -> Self {
        Self {
            number: FIRST + u64::try_from(number).unwrap_or(0),
            text: FILLING.to_owned(),
        }
    }

    /// Its payload as it is stored.
    pub(crate) fn json(&self) -> String {
        format!(r#"{{"number":{},"text":"{}"}}"#, self.number, self.text)
    }

    /// The same as a draft.
    pub(crate) fn draft(number: usize, after: After) -> Draft {
        let draft = Draft::of(&Self::new(number));
        match after {
            After::Keep => draft,
            After::Delete => draft.retention(Retention {
                succeeded: Some(Duration::ZERO),
                ..Retention::default()
            }),
        }
    }

    /// A draft of the kind that nobody handles.
    pub(crate) fn unknown(number: usize) -> Draft {
        Draft::of(&Unknown(Self::new(number)))
    }
}

/// Counts handled jobs and tells when there were enough, each time as many again.
#[derive(Debug)]
pub(crate) struct Progress {
    handled: AtomicUsize,
    wanted: usize,
    reached: Notify,
}

impl Progress {
    pub(crate) fn until(wanted: usize) -> Arc<Self> {
        Arc::new(Self {
            handled: AtomicUsize::new(0),
            wanted,
            reached: Notify::new(),
        })
    }

    /// Counts one.
    pub(crate) fn count(&self) {
        if (self.handled.fetch_add(1, Ordering::AcqRel) + 1).is_multiple_of(self.wanted) {
            self.reached.notify_one();
        }
    }

    /// Waits until the wanted number was handled.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }
}

/// The handler.
pub(crate) async fn handle(_: Job, progress: State<Arc<Progress>>) -> Result<(), Infallible> {
    progress.0.count();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_a_hundred_bytes() {
        for number in [0, 7, 1_000_000] {
            let job = Job::new(number);
            assert_eq!(serde_json::to_string(&job).unwrap(), job.json());
            assert_eq!(job.json().len(), 100);
        }
    }
}

//! The task, and the log of its runs: a line for each, appended before the run does anything else. A process that is killed loses
//! no line that it wrote.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use retry_core::draft::{TaskOptions, TaskPayload};
use retry_core::policy::{Backoff, RetryPolicy};
use retry_core::task::Retention;
use serde::{Deserialize, Serialize};

/// What follows from the order `n`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ship {
    pub(super) n: u64,
}

impl TaskPayload for Ship {
    const KIND: &'static str = "ship";

    /// Forgotten at once when it ended well: a second creation then makes a second task, which begins at its first version.
    fn options() -> TaskOptions {
        let policy = RetryPolicy::builder().backoff(Backoff::fixed(Duration::from_millis(30)));
        TaskOptions::new()
            .retry(policy.endless().build().unwrap_or_default())
            .crash_budget(None)
            .rescue_delay(Duration::from_millis(100))
            .retention(Retention {
                succeeded: Some(Duration::ZERO),
                ..Retention::default()
            })
    }
}

/// A run of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ran {
    pub(super) n: u64,
    pub(super) id: String,
    /// One in the first attempt of a task, and never again.
    pub(super) version: u64,
}

/// The log of one process.
#[derive(Debug, Clone)]
pub(super) struct Runs(Arc<Mutex<File>>);

impl Runs {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.with_context(|| path.display().to_string())?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    pub(super) fn note(&self, ran: &Ran) -> Result<()> {
        let line = serde_json::to_string(ran)? + "\n";
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(file.write_all(line.as_bytes())?)
    }
}

/// How the logs of runs end.
pub(super) const ENDING: &str = "runs";

/// All runs, by the number of their order.
pub(super) fn all(logs: &Path) -> Result<BTreeMap<u64, Vec<Ran>>> {
    let mut all: BTreeMap<u64, Vec<Ran>> = BTreeMap::new();
    for entry in std::fs::read_dir(logs)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != ENDING) {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        // A process that was killed may have left its last line half written; its run had not begun.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let ran: Ran = serde_json::from_str(line).with_context(|| path.display().to_string())?;
            all.entry(ran.n).or_default().push(ran);
        }
    }
    Ok(all)
}

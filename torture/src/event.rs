//! What is written to the log: one line of JSON each.

use serde::{Deserialize, Serialize};

/// A line: when, and what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Milliseconds of the machine's clock.
    pub(crate) at: i64,
    pub(crate) event: Event,
}

/// What happened. Ids are in their text form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// An enqueuer is about to enqueue task number `n`.
    Intent {
        n: u64,
        kind: String,
        key: Option<String>,
    },
    /// The store acknowledged it: as task `id`, or as a duplicate of it.
    Answer { n: u64, id: String, new: bool },
    /// The store answered with an error: the outcome counts as unknown.
    Refused { n: u64, error: String },
    /// A claim as the worker was answered it; `version` is the one it wrote.
    Claim {
        id: String,
        version: u64,
        attempt: u32,
        step: u32,
        session: String,
    },
    /// An edit and its answer. One that `raises` writes `version + 1`.
    Edit {
        id: String,
        version: u64,
        nonce: u64,
        raises: bool,
        done: bool,
        answer: String,
    },
    /// A lease that the store acknowledged.
    Lease { session: String, until: i64 },
    /// The store said that the session is lost.
    Lost { session: String },
    /// A handler starts.
    Run {
        id: String,
        version: u64,
        attempt: u32,
        step: u32,
        found: Option<u32>,
    },
    /// A handler has ended, with its version by then.
    Ended {
        id: String,
        version: u64,
        now: u64,
        how: How,
    },
    /// A checkpoint was acknowledged; `version` is the one after it.
    Saved { id: String, version: u64, progress: u32 },
    /// The answer to a completion with `mark`, which no other has.
    Completed { id: String, mark: u64, how: Completed },
    /// A process was started.
    Spawned { process: String },
    /// A process is about to be killed, or has lost its disk.
    Killed { process: String },
    /// A process is about to be stopped.
    Stopped { process: String },
    /// The store's disk lost its power at `from` and was back at the end.
    Cut { from: i64 },
    /// A process was continued.
    Continued { process: String },
}

impl Event {
    /// Whether it tells of an answer of the store.
    pub(crate) const fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Answer { .. }
                | Self::Claim { .. }
                | Self::Edit { .. }
                | Self::Lease { .. }
                | Self::Saved { .. }
                | Self::Completed { .. }
        )
    }
}

/// How a handler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// With an outcome.
    Good,
    /// With an error.
    Failed,
    /// Its future was dropped.
    Dropped,
}

/// How a completion ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Completed {
    /// It was written.
    Done,
    /// Another one came first.
    Already,
    /// Unknown.
    Error(String),
}

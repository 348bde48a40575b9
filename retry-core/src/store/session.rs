//! Sessions and queues, as a store keeps them.

use crate::id::{SessionId, TaskId};
use crate::name::{Kind, Queue, WorkerName};
use crate::store::types::Lane;
use crate::time::Timestamp;

/// What a worker tells about itself when it opens a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Drawn at random, never reused.
    pub id: SessionId,
    /// The worker's name.
    pub name: WorkerName,
    /// The machine it runs on.
    pub host: String,
    /// The queues it claims from.
    pub queues: Vec<Queue>,
    /// The kinds it runs.
    pub kinds: Vec<Kind>,
}

/// A session as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// Who.
    pub info: SessionInfo,
    /// Until when it may hold tasks without a renewal.
    pub lease_until: Timestamp,
    /// It was marked lost and stays so.
    pub lost: bool,
}

impl Session {
    /// A live session.
    #[must_use]
    pub const fn new(info: SessionInfo, lease_until: Timestamp, lost: bool) -> Self {
        Self {
            info,
            lease_until,
            lost,
        }
    }
}

/// The answer to a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Renewed {
    /// The session goes on.
    Live {
        /// Its tasks whose cancel was requested, at most 1,000.
        cancel: Vec<TaskId>,
        /// How many tasks it holds.
        held: u64,
    },
    /// The session goes on; what it holds was not counted this time, because the last count took long. A store counts again
    /// when ten times as long has passed.
    Uncounted {
        /// Its tasks whose cancel was requested, at most 1,000.
        cancel: Vec<TaskId>,
    },
    /// The session was marked lost, closed, or never was.
    Lost,
}

/// A change to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueSetting {
    /// Claims yield nothing from now on; running tasks go on.
    Pause,
    /// Claims yield again.
    Resume,
}

/// A queue as the store sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueInfo {
    /// The queue.
    pub queue: Queue,
    /// Whether it is paused.
    pub paused: bool,
    /// Its lanes with pending tasks and when the first of each is due.
    pub lanes: Vec<(Lane, Timestamp)>,
    /// The part of a sharded store that did not answer, if any.
    pub missing_parts: Vec<usize>,
}

impl QueueInfo {
    /// A queue.
    #[must_use]
    pub const fn new(queue: Queue, paused: bool, lanes: Vec<(Lane, Timestamp)>) -> Self {
        Self {
            queue,
            paused,
            lanes,
            missing_parts: Vec::new(),
        }
    }
}

/// What a store promises about a write that it answered with Ok.
///
/// Fencing holds as far as this does. A store that loses acknowledged writes may give a version again, and a late write of
/// the first claim then fits the second. A worker still never runs a task twice at the same time, and after every
/// failure of a store that is not `Synced` compares what it holds with what the store says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// It survives a power cut.
    Synced,
    /// It survives a crash of the process; a power cut may take what was written in the last such span.
    Periodic(std::time::Duration),
    /// It lives as long as the process.
    None,
}

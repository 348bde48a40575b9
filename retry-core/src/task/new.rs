//! A task as it is handed to a store.

use super::{KeyScope, Settings};
use crate::headers::Headers;
use crate::id::{SessionId, TaskId};
use crate::name::{Kind, Queue, UniqueKey};
use crate::payload::Payload;
use crate::priority::Priority;
use crate::time::Timestamp;

/// A task to insert. Exhaustive on purpose: what a store must keep is part of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Made by the caller; the same id twice is the same task.
    pub id: TaskId,
    /// Selects the handler.
    pub kind: Kind,
    /// The group it is claimed from.
    pub queue: Queue,
    /// Its level.
    pub priority: Priority,
    /// What the handler gets.
    pub payload: Payload,
    /// Texts that travel along.
    pub headers: Headers,
    /// When it is due.
    pub run_at: Timestamp,
    /// Keeps a second one out.
    pub unique: Option<Unique>,
    /// The task whose edit inserts it; only that edit may carry it.
    pub parent: Option<TaskId>,
    /// Its own rules.
    pub settings: Settings,
    /// Drawn at random; part of the tokens that complete its waits.
    pub wait_secret: u64,
    /// Born leased: running under this session, attempt 1, version 1, if it is due, the queue is not paused and the
    /// session is live; else it is an ordinary pending task.
    pub leased_by: Option<SessionId>,
}

/// A unique key and what happens when it is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// Unique per store and kind.
    pub key: UniqueKey,
    /// How long it keeps others out.
    pub scope: KeyScope,
    /// What happens to the holder.
    pub on_duplicate: OnDuplicate,
}

/// What an insert does to the task that holds its unique key already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDuplicate {
    /// Nothing; the new task is dropped.
    #[default]
    Keep,
    /// A pending holder takes over parts of the new task, which is dropped; any other holder is kept.
    Replace {
        /// The payload and the headers.
        payload: bool,
        /// The time it is due.
        run_at: bool,
    },
}

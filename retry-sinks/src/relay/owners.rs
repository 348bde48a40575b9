//! The owner tasks: one for each partition of each part of the store, made once and kept for ever, also when they have ended:
//! a fresh one would not know who holds messages, and its version would start anew.

use std::fmt;

use retry_core::draft::Draft;
use retry_core::id::{Shard, TaskId, TaskIds};
use retry_core::machine::Event;
use retry_core::payload::Payload;
use retry_core::store::{Inserted, Page, StoreError, TaskFilter, TaskStore};
use retry_core::task::{KeyScope, NewTask, OnDuplicate, Retention, Task};

use super::executors::Ownership;
use super::part::Part;
use crate::queue::{SinkQueue, ordered};

/// Slots that an id can carry.
const SLOTS: u16 = 4_096;

/// Pages of a listing that are looked into for an owner task. A store reads some ten thousand records for each; an owner task
/// beyond them is met when the first one is inserted.
const LOOKS: usize = 4;

/// An owner task that has ended is kept until somebody deletes it.
const KEPT: Retention = Retention {
    succeeded: None,
    failed: None,
    cancelled: None,
};

/// Why a relay does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The store failed.
    Store(StoreError),
    /// The queue has another number of partitions in the store.
    Partitions {
        /// The number there.
        stored: u16,
        /// The number that this program was told.
        told: u16,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(_) => f.write_str("the relay's tasks could not be made"),
            Self::Partitions { stored, told } => write!(
                f,
                "the queue has {stored} partitions in the store and {told} here; a new number needs a new name"
            ),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Partitions { .. } => None,
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Makes the owner tasks that are not there, and lets those go on that somebody has ended.
pub(super) async fn ensure(
    whole: &dyn TaskStore,
    index: usize,
    part: &Part,
    queue: &SinkQueue,
) -> Result<(), StartError> {
    let tasks = tasks(whole, index, part, queue).await?;
    // Of two that come at once with different numbers the one whose first task is stored is right.
    let (first, rest) = tasks.split_at(1);
    make(part, queue, first).await?;
    make(part, queue, rest).await
}

/// Reads whether a part of the store has another number of partitions: then nothing is to be written. Every owner task knows
/// it: any of them will do.
pub(super) async fn look(part: &Part, queue: &SinkQueue) -> Result<(), StartError> {
    let filter = TaskFilter {
        kinds: vec![queue.owner_kind()],
        queues: vec![queue.owner_queue()],
        ..TaskFilter::default()
    };
    let mut page = Page::first(1);
    for _ in 0..LOOKS {
        let listed = part.store.list(&filter, &page).await?;
        if let Some(row) = listed.tasks.first() {
            return check(part, queue, row.task.id).await.map(drop);
        }
        match listed.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    Ok(())
}

/// Refuses an owner task of another number of partitions; answers the task.
async fn check(part: &Part, queue: &SinkQueue, id: TaskId) -> Result<Option<Task>, StartError> {
    let Some(detail) = part.store.get(id).await? else {
        return Ok(None);
    };
    let told = queue.partition_count();
    match detail.payload.decode::<Ownership>() {
        Ok(there) if there.of != told => Err(StartError::Partitions {
            stored: there.of,
            told,
        }),
        _ => Ok(Some(detail.task)),
    }
}

/// Inserts owner tasks. One that has ended runs again instead: its checkpoint names the sessions that may still hold messages,
/// and its version is what receivers compare.
async fn make(part: &Part, queue: &SinkQueue, tasks: &[NewTask]) -> Result<(), StartError> {
    let now = part.now().await?;
    let answers = part.store.insert(tasks, now).await?;
    let (mut edits, mut checked) = (Vec::new(), false);
    for answer in answers {
        let Inserted::Duplicate { holder, state } = answer else {
            continue;
        };
        // One stands for all: they were made together.
        if checked && !state.is_final() {
            continue;
        }
        checked = true;
        let there = check(part, queue, holder).await?;
        let Some(ended) = there.filter(|task| task.state.is_final()) else {
            continue;
        };
        let (at, from_start) = (now, false);
        match part.edit(&ended, Event::Rerun { at, from_start }) {
            Ok(edit) => edits.push(edit),
            Err(why) => tracing::warn!(task = %ended.id, %why, "an ended owner task was not run again"),
        }
    }
    // Stale: somebody was faster, and did the same.
    part.store.exchange(&edits, &[], now).await?;
    Ok(())
}

async fn tasks(
    whole: &dyn TaskStore,
    index: usize,
    part: &Part,
    queue: &SinkQueue,
) -> Result<Vec<NewTask>, StartError> {
    let now = part.now().await?;
    let mut ids = TaskIds::new();
    let of = queue.partition_count();
    // An id that the whole store finds where the part has it.
    let there = (0..SLOTS)
        .map(Shard::new)
        .find(|slot| whole.part_of(*slot) == Some(index));
    let slot = there.unwrap_or_default();
    let mut tasks = Vec::new();
    for partition in 0..of {
        let payload = Payload::encode(&Ownership { partition, of }).map_err(|error| invalid(&error))?;
        let draft = Draft::raw(queue.owner_kind().as_str(), payload)
            .options(ordered())
            .queue(queue.owner_queue().as_str())
            .retention(KEPT)
            .unique_with(partition.to_string(), KeyScope::UntilPurged, OnDuplicate::Keep);
        let id = ids.next(now, slot, part.random.next_u64());
        let task = draft
            .build(id, now, part.random.next_u64(), None)
            .map_err(|error| invalid(&error))?;
        tasks.push(task);
    }
    Ok(tasks)
}

fn invalid(error: &dyn fmt::Display) -> StartError {
    StartError::Store(StoreError::invalid(error.to_string()))
}

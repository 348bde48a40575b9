//! The owner tasks: one for each partition of each part of the store, made once and kept.

use std::fmt;
use std::sync::Arc;

use retry_core::draft::Draft;
use retry_core::id::{Shard, TaskIds};
use retry_core::payload::Payload;
use retry_core::store::{Inserted, StoreError, TaskStore};
use retry_core::task::NewTask;

use super::executors::Ownership;
use super::part::Part;
use crate::queue::{SinkQueue, ordered};

/// Slots that an id can carry.
const SLOTS: u16 = 4_096;

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

/// Makes the owner tasks that are not there.
pub(super) async fn ensure(
    whole: &Arc<dyn TaskStore>,
    index: usize,
    part: &Part,
    queue: &SinkQueue,
) -> Result<(), StartError> {
    let tasks = tasks(whole.as_ref(), index, part, queue).await?;
    let now = part.now().await?;
    let answers = part.store.insert(&tasks, now).await?;
    for answer in answers {
        let Inserted::Duplicate { holder, .. } = answer else {
            continue;
        };
        let held = part.store.get(holder).await?;
        let there: Option<Ownership> = held.and_then(|detail| detail.payload.decode().ok());
        let told = queue.partition_count();
        if let Some(Ownership { of: stored, .. }) = there.filter(|there| there.of != told) {
            return Err(StartError::Partitions { stored, told });
        }
        // One stands for all: they were made together.
        break;
    }
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
            .unique(partition.to_string());
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

//! Several stores as one: more throughput than one database gives, and an outage that stops only a part of the work.
//!
//! ```
//! # use retry_core as task_retry;
//! use task_retry::client::Client;
//! use task_retry::draft::Draft;
//! use task_retry::payload::Payload;
//! use task_retry::sharded::ShardedStore;
//! use task_retry::store::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = ShardedStore::builder()
//!     .part("east", MemoryStore::new())
//!     .part("west", MemoryStore::new())
//!     .build()?;
//! let client = Client::new(store);
//! let order = Draft::raw("order", Payload::null()).shard_key("customer-7");
//! let id = client.enqueue(order).await?.id;
//! assert_eq!(client.store().part_name(id.shard()), client.store().part_for_key("customer-7"));
//! # Ok(())
//! # }
//! ```
//!
//! # Where a task is
//!
//! Every task id has one of 4,096 slots ([`Shard`]), by the task's shard key, else its unique key, else anywhere. A task that
//! another one brings, a child or one enqueued on success, has the slot of that one, so that both are written at once. A slot
//! belongs to the part whose name gives the highest weight for it (rendezvous hashing), so another part takes over its share
//! from each of the others and nothing else moves. [`Builder::place_by`] decides otherwise.
//!
//! **The names are part of the data.** A part that is renamed, or given to another database, gets other slots, and the tasks
//! that are stored stay where they are. Every client and worker needs the same names. See
//! [`Builder::search_all_parts`] for a list that has changed.
//!
//! # What holds, and what holds within a part only
//!
//! The laws of [`TaskStore`](crate::store) hold for each part, and for the whole with these differences:
//!
//! - an insert and an exchange are atomic for each part. The answer says which tasks were not tried
//!   ([`Inserted::NotTried`](crate::store::Inserted), [`Applied::NotTried`](crate::store::Applied)): their part certainly did
//!   nothing. When it is unknown whether a part has written, the whole call is of unknown outcome, and repeating it converges;
//! - a unique key is unique where its slot is. With another shard key, or enqueued by a task of another slot, it is unique
//!   within that part;
//! - order (law 5) holds within a part; a worker serves its parts side by side;
//! - sessions, claims and the round of expired tasks belong to the parts. Workers talk to each of them by itself, with a session, a
//!   heartbeat, a pump and a clock of its own; here those calls are refused.
//!
//! # When a part fails
//!
//! A call of a part is waited for no longer than [`PART_CALL_LIMIT`]. After [`PART_FAILURES`] failures in a row the part is not
//! called at all for a while (a circuit breaker), so that its tasks are answered at once and nobody waits. Then one call tries
//! it, by asking for its time first. Only calls of clients are judged; workers see an outage by themselves. [`ShardedStore::health`] tells how the parts are, and so do the log,
//! the metric `task_retry_part_open` and [`Client::why`](crate::client::Client::why).
//!
//! Listings and counts are made of the parts that answer, and name the others (`missing_parts`).
//!
//! [`PART_CALL_LIMIT`]: crate::limits::PART_CALL_LIMIT
//! [`PART_FAILURES`]: crate::limits::PART_FAILURES
//! [`Shard`]: crate::id::Shard

mod breaker;
mod builder;
mod join;
mod member;
mod merge;
mod placing;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;

pub use self::breaker::PartState;
pub use self::builder::{Builder, InvalidParts};
pub use self::member::PartHealth;
pub use self::placing::PartSlots;

use self::member::Member;
use self::placing::Placing;
use crate::id::{Shard, TaskId};
use crate::name::{Kind, UniqueKey};

/// Several stores that act as one. See the [module](self).
pub struct ShardedStore {
    members: Box<[Member]>,
    placing: Placing,
    search_all: bool,
}

impl fmt::Debug for ShardedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.members.iter().map(|member| &member.name))
            .finish()
    }
}

impl ShardedStore {
    /// Begins with no part.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The name of the part that keeps the tasks of a slot.
    #[must_use]
    pub fn part_name(&self, shard: Shard) -> &str {
        &self.members[self.placing.part(shard)].name
    }

    /// The name of the part that keeps the tasks of a shard key.
    #[must_use]
    pub fn part_for_key(&self, key: &str) -> &str {
        self.part_name(Shard::of_key(key))
    }

    /// The same for a task that has a unique key and no shard key.
    #[must_use]
    pub fn part_for_unique(&self, kind: &Kind, key: &UniqueKey) -> &str {
        self.part_name(Shard::of_unique(kind, key))
    }

    /// The slots of a part; none when there is no such part, or it has no slot.
    ///
    /// A transaction of your own belongs to one database, so a task enqueued inside it is stored there, whatever its keys
    /// say. A client of that part's store, [bound](crate::client::ClientBuilder::slots) to these slots, refuses a task that belongs
    /// elsewhere and gives the others ids by which this store finds them.
    #[must_use]
    pub fn slots(&self, part: &str) -> Option<PartSlots> {
        let number = self.members.iter().position(|member| member.name == part)?;
        self.placing.slots(number, part)
    }

    /// How the parts answer, in their order. It asks none of them.
    #[must_use]
    pub fn health(&self) -> Vec<PartHealth> {
        self.members.iter().map(Member::health).collect()
    }

    /// The number of a task's part.
    fn home(&self, id: TaskId) -> usize {
        self.placing.part(id.shard())
    }
}

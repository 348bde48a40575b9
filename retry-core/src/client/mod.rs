//! The client: enqueues tasks and administers them. Holds no task state of its own.

mod admin;
mod attach;
mod batch;
mod coalescer;
mod complete;
mod dry_run;
mod enqueue;
mod error;
mod home;
mod hook;
mod inline;
mod payloads;
mod resend;
#[cfg(test)]
mod tests;
mod transaction;
mod why;

use std::fmt;
use std::sync::{Arc, Mutex};

pub use admin::{Cancelled, Changes};
pub use batch::{BatchProgress, BatchStage, RerunChildren};
pub use enqueue::{Enqueue, Enqueued};
pub use error::{Error, Result};
pub use hook::RunAfterCommit;
pub use inline::Inline;
pub use payloads::PayloadCheck;
pub use transaction::{BlockingTransaction, Transaction};

use self::coalescer::Coalescer;
use self::home::Home;
use self::resend::{insert, not_tried, resend};
use crate::clock::{Clock, SyncedClock, SystemClock};
use crate::draft::Draft;
use crate::engine::Attachment;
use crate::id::{Nonce, Shard, TaskIds};
use crate::meters::Meters;
use crate::propagate::{Propagator, in_context};
use crate::seams::{Random, Spawn, SystemRandom, TokioSpawn};
use crate::sharded::PartSlots;
use crate::store::{self, TaskStore};
use crate::time::Timestamp;

/// Enqueues and administers tasks of one store. Cloning is cheap; clones share everything.
///
/// ```
/// # use retry_core as task_retry;
/// # use task_retry::draft::TaskPayload;
/// # use serde::{Deserialize, Serialize};
/// use task_retry::client::Client;
/// use task_retry::store::MemoryStore;
/// use std::time::Duration;
///
/// # #[derive(Serialize, Deserialize)]
/// # struct Welcome { email: String }
/// # impl TaskPayload for Welcome { const KIND: &'static str = "welcome"; }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(MemoryStore::new());
/// let welcome = Welcome { email: "ada@example.com".into() };
/// let enqueued = client.enqueue(welcome).delay(Duration::from_secs(60)).unique("ada").await?;
/// assert!(enqueued.is_new());
/// # Ok(())
/// # }
/// ```
pub struct Client<S: ?Sized = dyn TaskStore> {
    store: Arc<S>,
    shared: Arc<Shared>,
    attached: Option<Attachment>,
    propagator: Option<Arc<dyn Propagator>>,
}

impl<S: ?Sized> Clone for Client<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            shared: Arc::clone(&self.shared),
            attached: self.attached.clone(),
            propagator: self.propagator.clone(),
        }
    }
}

impl<S: ?Sized> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("store", &self.shared.store)
            .field("attached", &self.attached.is_some())
            .finish_non_exhaustive()
    }
}

/// What all clones share.
#[derive(Debug)]
struct Shared {
    store: Arc<dyn TaskStore>,
    /// The slots to which it is bound.
    slots: Option<PartSlots>,
    /// One for each part, at least one.
    homes: Box<[Home]>,
    random: Arc<dyn Random>,
    ids: Mutex<TaskIds>,
    meters: Arc<Meters>,
}

/// Builds a [`Client`] with seams of one's own.
#[derive(Debug)]
pub struct ClientBuilder<S: ?Sized> {
    store: Arc<S>,
    slots: Option<PartSlots>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    spawn: Arc<dyn Spawn>,
}

impl<S: TaskStore> Client<S> {
    /// A client of `store`, with the machine's clock and randomness.
    #[must_use]
    pub fn new(store: impl Into<Arc<S>>) -> Self {
        Self::builder(store).build()
    }

    /// A client with seams of one's own.
    #[must_use]
    pub fn builder(store: impl Into<Arc<S>>) -> ClientBuilder<S> {
        ClientBuilder {
            store: store.into(),
            slots: None,
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
            spawn: Arc::new(TokioSpawn),
        }
    }

    /// The same client without the type of its store.
    #[must_use]
    pub fn erase(self) -> Client {
        Client {
            store: self.store,
            shared: self.shared,
            attached: self.attached,
            propagator: self.propagator,
        }
    }
}

impl<S: TaskStore> ClientBuilder<S> {
    /// The clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The source of randomness.
    #[must_use]
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// What runs background futures.
    #[must_use]
    pub fn spawn(mut self, spawn: Arc<dyn Spawn>) -> Self {
        self.spawn = spawn;
        self
    }

    /// Binds the client to the slots of one part of a [sharded store](crate::sharded), which its own store is, for
    /// transactions of one's own: what it enqueues, the sharded store finds. A task whose keys belong to another part is
    /// refused ([`InvalidTask::OtherPart`](crate::draft::InvalidTask)).
    #[must_use]
    pub fn slots(mut self, slots: PartSlots) -> Self {
        self.slots = Some(slots);
        self
    }

    /// The client.
    #[must_use]
    pub fn build(self) -> Client<S> {
        let store: Arc<dyn TaskStore> = Arc::<S>::clone(&self.store);
        Client {
            store: self.store,
            shared: Shared::new(store, self.slots, self.clock, self.random, self.spawn),
            attached: None,
            propagator: None,
        }
    }
}

impl Client {
    /// A client of a store whose type is not known.
    #[must_use]
    pub fn of(store: Arc<dyn TaskStore>) -> Self {
        let (clock, random, spawn) = (SystemClock::new(), SystemRandom::new(), TokioSpawn);
        Self::with_seams(store, Arc::new(clock), Arc::new(random), Arc::new(spawn))
    }

    pub(crate) fn with_seams(
        store: Arc<dyn TaskStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        spawn: Arc<dyn Spawn>,
    ) -> Self {
        let shared = Shared::new(Arc::clone(&store), None, clock, random, spawn);
        Self {
            store,
            shared,
            attached: None,
            propagator: None,
        }
    }

    /// The time of the part of the store that keeps the tasks of a slot.
    pub(crate) async fn now(&self, shard: Shard) -> store::Result<Timestamp> {
        self.shared.now(shard).await
    }
}

impl<S: TaskStore + ?Sized> Client<S> {
    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<S> {
        &self.store
    }

    /// The same client, which puts the context of its caller into the headers of each task that it enqueues.
    #[must_use]
    pub fn with_propagator(mut self, propagator: impl Propagator) -> Self {
        self.propagator = Some(Arc::new(propagator));
        self
    }

    fn in_context(&self, draft: Draft) -> Draft {
        in_context(draft, self.propagator.as_deref())
    }

    pub(crate) fn erased_store(&self) -> Arc<dyn TaskStore> {
        Arc::clone(&self.shared.store)
    }
}

impl Shared {
    fn new(
        store: Arc<dyn TaskStore>,
        slots: Option<PartSlots>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        spawn: Arc<dyn Spawn>,
    ) -> Arc<Self> {
        let meters = Arc::new(Meters::new());
        let home = |_| {
            let clock = Arc::new(SyncedClock::new(Arc::clone(&clock)));
            let (store, spawn) = (Arc::clone(&store), Arc::clone(&spawn));
            let coalescer = Coalescer::new(store, Arc::clone(&clock), spawn, Arc::clone(&meters));
            Home { clock, coalescer }
        };
        let homes = (0..store.parts().len().max(1)).map(home).collect();
        Arc::new(Self {
            store,
            slots,
            homes,
            random,
            ids: Mutex::default(),
            meters,
        })
    }

    fn nonce(&self) -> Nonce {
        Nonce::from_random(self.random.next_u64())
    }
}

//! The client: enqueues tasks and administers them. Holds no task state of its own.

mod admin;
mod attach;
mod batch;
mod coalescer;
mod complete;
mod dry_run;
mod enqueue;
mod error;
mod hook;
mod inline;
mod payloads;
mod resend;
#[cfg(test)]
mod tests;
mod transaction;
mod why;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use admin::{Cancelled, Changes};
pub use batch::{BatchProgress, BatchStage, RerunChildren};
pub use enqueue::{Enqueue, Enqueued};
pub use error::{Error, Result};
pub use hook::RunAfterCommit;
pub use inline::Inline;
pub use payloads::PayloadCheck;
pub use transaction::{BlockingTransaction, Transaction};

use self::coalescer::Coalescer;
use self::resend::{insert, not_tried, resend};
use crate::clock::{Clock, SyncedClock, SystemClock};
use crate::draft::{Draft, InvalidTask};
use crate::engine::Attachment;
use crate::id::{Nonce, Shard, TaskId, TaskIds};
use crate::meters::Meters;
use crate::propagate::{Propagator, in_context};
use crate::seams::{Random, Spawn, SystemRandom, TokioSpawn};
use crate::store::{self, TaskStore};
use crate::task::NewTask;
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
    clock: Arc<SyncedClock>,
    random: Arc<dyn Random>,
    ids: Mutex<TaskIds>,
    coalescer: Coalescer,
    meters: Arc<Meters>,
}

/// Builds a [`Client`] with seams of one's own.
#[derive(Debug)]
pub struct ClientBuilder<S: ?Sized> {
    store: Arc<S>,
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

    /// The client.
    #[must_use]
    pub fn build(self) -> Client<S> {
        let store: Arc<dyn TaskStore> = Arc::<S>::clone(&self.store);
        Client {
            store: self.store,
            shared: Shared::new(store, self.clock, self.random, self.spawn),
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
        let shared = Shared::new(Arc::clone(&store), clock, random, spawn);
        Self {
            store,
            shared,
            attached: None,
            propagator: None,
        }
    }

    /// The store's time.
    pub(crate) async fn now(&self) -> store::Result<Timestamp> {
        self.shared.now().await
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
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        spawn: Arc<dyn Spawn>,
    ) -> Arc<Self> {
        let clock = Arc::new(SyncedClock::new(clock));
        let meters = Arc::new(Meters::new());
        let coalescer = Coalescer::new(Arc::clone(&store), Arc::clone(&clock), spawn, Arc::clone(&meters));
        Arc::new(Self {
            store,
            clock,
            random,
            ids: Mutex::default(),
            coalescer,
            meters,
        })
    }

    /// The store's time. Asks the store when the last answer is old; a store that fails to answer is not asked twice
    /// as long as an old answer is there.
    async fn now(&self) -> store::Result<Timestamp> {
        if self.clock.is_due() {
            let sent = self.clock.monotonic();
            match self.store.time().await {
                Ok(time) => {
                    let received = self.clock.monotonic();
                    // A reading is as uncertain as half the delay of its answer.
                    if received.saturating_since(sent) <= SLOWEST_READING || !self.clock.is_synced() {
                        self.clock.record(time, sent, received);
                    }
                }
                Err(error) if !self.clock.is_synced() => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "the store's clock was not read; the last reading is used")
                }
            }
        }
        Ok(self.clock.now())
    }

    fn nonce(&self) -> Nonce {
        Nonce::from_random(self.random.next_u64())
    }

    fn build(&self, draft: Draft, now: Timestamp) -> Result<NewTask, InvalidTask> {
        let random = self.random.next_u64();
        let id: TaskId =
            self.ids
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(now, Shard::default(), random);
        draft.build(id, now, self.random.next_u64(), None)
    }
}

/// A reading of the store's clock that took longer is worth less than an old one.
const SLOWEST_READING: Duration = Duration::from_secs(2);

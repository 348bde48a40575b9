//! Builds a relay and refuses what cannot work.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::handle::OutboxRelayHandle;
use super::turn::Owner;
use super::{Counters, Options, Shared, owner};
use crate::client::Client;
use crate::clock::{Clock, SystemClock};
use crate::draft::TaskOptions;
use crate::engine::{self, IntoStore, KindOptions, Worker, WorkerBuilder};
use crate::limits::{DEFAULT_OUTBOX_BATCH, MAX_BATCH};
use crate::outbox::refuse_parts;
use crate::outbox::table::OutboxTable;
use crate::policy::RetryPolicy;
use crate::seams::{Random, Spawn, SystemRandom, TokioSpawn};
use crate::store::{StoreError, TaskStore};

/// How long a shutdown waits for the turn to end, which it does at once.
const GRACE: Duration = Duration::from_secs(5);

/// Why a relay cannot be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The pauses between looks at an empty outbox are zero, or the first is longer than the longest.
    Poll,
    /// A hand-over has no rows, or more than [`MAX_BATCH`].
    Batch(usize),
    /// The store has parts, of which one hand-over reaches only one.
    Parts(StoreError),
    /// Its worker cannot be built.
    Worker(engine::BuildError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poll => {
                f.write_str("the pauses of a relay are zero, or the first is longer than the longest")
            }
            Self::Batch(rows) => write!(
                f,
                "hand-overs of {rows} rows; at least 1 and at most {MAX_BATCH} are allowed"
            ),
            Self::Parts(error) => write!(f, "{error}"),
            Self::Worker(_) => f.write_str("the relay's worker cannot be built"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Worker(error) => Some(error),
            Self::Poll | Self::Batch(_) | Self::Parts(_) => None,
        }
    }
}

type WorkerOptions = Box<dyn FnOnce(WorkerBuilder) -> WorkerBuilder + Send>;

/// Builds an [`OutboxRelay`]. Mistakes are reported by [`build`](Self::build).
#[must_use]
pub struct OutboxRelayBuilder {
    store: Arc<dyn TaskStore>,
    table: Arc<dyn OutboxTable>,
    poll: RangeInclusive<Duration>,
    batch: usize,
    lease: Duration,
    name: String,
    worker: WorkerOptions,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    spawn: Arc<dyn Spawn>,
}

impl fmt::Debug for OutboxRelayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxRelayBuilder")
            .field("table", &self.table)
            .field("poll", &self.poll)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

/// Hands the rows of an outbox over to a store, in order, as long as it takes. Any number of relays may serve an outbox: one
/// works at a time, and another goes on when it is gone.
///
/// ```
/// # use retry_core as task_retry;
/// # use task_retry::draft::TaskPayload;
/// # use serde::{Deserialize, Serialize};
/// use task_retry::client::Client;
/// use task_retry::outbox::{MemoryOutbox, OutboxName, OutboxRelay};
/// use task_retry::store::MemoryStore;
///
/// # #[derive(Serialize, Deserialize)]
/// # struct Ship { order: i64 }
/// # impl TaskPayload for Ship { const KIND: &'static str = "ship"; }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(MemoryStore::new());
/// let outbox = MemoryOutbox::new(OutboxName::new("shop")?);
/// let relay = OutboxRelay::builder(&client, outbox.clone()).build()?.start();
///
/// let mut tx = outbox.begin();
/// let id = client.enqueue(Ship { order: 7 }).outbox(&outbox, &mut tx)?;
/// tx.commit();
/// relay.waker().wake();
/// # while client.get(id).await?.is_none() { tokio::task::yield_now().await; }
/// relay.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OutboxRelay {
    shared: Arc<Shared>,
    worker: Worker,
    spawn: Arc<dyn Spawn>,
}

impl OutboxRelayBuilder {
    /// The first and the longest pause before an outbox in which nothing waits is looked at again: each is twice as long as
    /// the one before. 20 ms and a quarter of a second unless told otherwise.
    pub fn poll(mut self, pauses: RangeInclusive<Duration>) -> Self {
        self.poll = pauses;
        self
    }

    /// How many rows go over in one write at most; 500 unless told otherwise, at most [`MAX_BATCH`].
    pub fn batch(mut self, rows: usize) -> Self {
        self.batch = rows;
        self
    }

    /// How long the store keeps the outbox for this relay without a heartbeat, and so how long nobody hands over after it
    /// crashed; 15 s unless told otherwise, at least 1 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The name of its worker, shown to operators; `outbox-relay` unless told otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Further options of the worker inside: alerts, say. What the relay needs itself is set over them.
    pub fn worker(mut self, options: impl FnOnce(WorkerBuilder) -> WorkerBuilder + Send + 'static) -> Self {
        self.worker = Box::new(options);
        self
    }

    /// The clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The source of randomness.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// What runs its futures.
    pub fn spawn(mut self, spawn: Arc<dyn Spawn>) -> Self {
        self.spawn = spawn;
        self
    }

    /// The relay.
    ///
    /// # Errors
    /// The first mistake that was made.
    pub fn build(self) -> Result<OutboxRelay, BuildError> {
        let poll = (*self.poll.start(), *self.poll.end());
        if poll.0.is_zero() || poll.0 > poll.1 {
            return Err(BuildError::Poll);
        }
        if self.batch == 0 || self.batch > MAX_BATCH {
            return Err(BuildError::Batch(self.batch));
        }
        refuse_parts(self.store.as_ref()).map_err(BuildError::Parts)?;
        let (clock, random, spawn) = (self.clock, self.random, self.spawn);
        let client = Client::with_seams(
            Arc::clone(&self.store),
            Arc::clone(&clock),
            Arc::clone(&random),
            Arc::clone(&spawn),
        );
        let (kind, queue) = (owner::kind(self.table.name()), owner::queue(self.table.name()));
        let shared = Arc::new(Shared {
            table: self.table,
            client,
            clock: Arc::clone(&clock),
            options: Options {
                poll,
                batch: self.batch,
            },
            counts: Counters::default(),
            wake: Arc::default(),
            stop: CancellationToken::new(),
        });
        // Of an owner task none is claimed ahead: it would keep the outbox from others.
        let defaults = TaskOptions::new()
            .queue(queue.as_str())
            .retry(RetryPolicy::once());
        let options = KindOptions::new().concurrency(1).retry(owner::policy());
        let worker = (self.worker)(Worker::builder(self.store))
            .clock(clock)
            .random(random)
            .spawn(Arc::clone(&spawn))
            .name(self.name)
            .lease(self.lease)
            .concurrency(1)
            .shutdown_grace(GRACE)
            .queue(queue.as_str())
            .executor(
                kind.as_str(),
                Arc::new(Owner(Arc::clone(&shared))),
                defaults,
                options,
            )
            .build()
            .map_err(BuildError::Worker)?;
        Ok(OutboxRelay {
            shared,
            worker,
            spawn,
        })
    }
}

impl OutboxRelay {
    /// Builds a relay to a store (the store itself, an `Arc` of it, or a `&Client`) from an outbox, as
    /// [`Enqueue::outbox`](crate::client::Enqueue::outbox) writes it.
    pub fn builder(store: impl IntoStore, outbox: impl OutboxTable) -> OutboxRelayBuilder {
        OutboxRelayBuilder {
            store: store.into_store(),
            table: Arc::new(outbox),
            poll: Duration::from_millis(20)..=Duration::from_millis(250),
            batch: DEFAULT_OUTBOX_BATCH,
            lease: Duration::from_secs(15),
            name: "outbox-relay".to_owned(),
            worker: Box::new(|worker| worker),
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
            spawn: Arc::new(TokioSpawn),
        }
    }

    /// Starts. Neither database need be there: it goes on as soon as both are.
    ///
    /// # Panics
    /// Outside a tokio runtime, unless another [`Spawn`] was given.
    pub fn start(self) -> OutboxRelayHandle {
        let worker = Some(self.worker.start());
        self.spawn.spawn(Box::pin(owner::keep(Arc::clone(&self.shared))));
        OutboxRelayHandle {
            shared: self.shared,
            worker,
        }
    }
}

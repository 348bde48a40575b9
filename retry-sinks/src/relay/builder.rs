//! Builds a relay and refuses what cannot work.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use retry_core::clock::{Clock, SystemClock};
use retry_core::draft::TaskOptions;
use retry_core::engine::{self, IntoStore, KindOptions, Worker, WorkerBuilder};
use retry_core::name::{InvalidName, WorkerName};
use retry_core::policy::RetryPolicy;
use retry_core::seams::{Random, Spawn, SystemRandom, TokioSpawn};
use retry_core::store::TaskStore;
use tokio_util::sync::CancellationToken;

use super::executors::{Owner, Unkeyed};
use super::part::Part;
use super::{Options, Shared};
use crate::limits::MAX_PUBLISH_TIMEOUT;
use crate::queue::{SinkQueue, endless};
use crate::sink::MessageSink;

/// How long a shutdown waits for the store beyond the sink's own time.
const SETTLE_GRACE: Duration = Duration::from_secs(5);

/// Why a relay cannot be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A span is zero or too long.
    Span(&'static str),
    /// A number is zero.
    Zero(&'static str),
    /// The relay's name is no name of a worker.
    Name(InvalidName),
    /// Its worker cannot be built.
    Worker(engine::BuildError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span(what) => write!(f, "{what} is zero or too long"),
            Self::Zero(what) => write!(f, "{what} must be at least 1"),
            Self::Name(error) => write!(f, "the relay's name: {error}"),
            Self::Worker(_) => f.write_str("the relay's worker cannot be built"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Worker(error) => Some(error),
            Self::Name(error) => Some(error),
            Self::Span(_) | Self::Zero(_) => None,
        }
    }
}

type WorkerOptions = Arc<dyn Fn(WorkerBuilder) -> WorkerBuilder + Send + Sync>;

/// Builds a [`Relay`]. Mistakes are reported by [`build`](Self::build).
#[must_use]
pub struct RelayBuilder {
    store: Arc<dyn TaskStore>,
    queue: SinkQueue,
    sink: Arc<dyn MessageSink>,
    options: Options,
    lease: Duration,
    owned: usize,
    parallel: usize,
    name: String,
    worker: WorkerOptions,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    spawn: Arc<dyn Spawn>,
}

impl fmt::Debug for RelayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayBuilder")
            .field("queue", &self.queue)
            .field("sink", &self.sink)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Hands the messages of a [`SinkQueue`] over to a sink, in order per key, as long as it takes. Any number of relays may serve
/// a queue: they share its partitions.
#[derive(Clone)]
pub struct Relay {
    pub(super) store: Arc<dyn TaskStore>,
    pub(super) shared: Arc<Shared>,
    pub(super) parts: Vec<(Arc<Part>, Worker)>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) spawn: Arc<dyn Spawn>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl RelayBuilder {
    /// How long an owner keeps a partition before it lets others have it; a minute unless told otherwise. So relays that
    /// come later get their share.
    pub fn turn(mut self, turn: Duration) -> Self {
        self.options.turn = turn;
        self
    }

    /// How long a call of the sink may take; 30 s unless told otherwise, at most
    /// [`MAX_PUBLISH_TIMEOUT`](crate::limits::MAX_PUBLISH_TIMEOUT).
    pub fn publish_timeout(mut self, limit: Duration) -> Self {
        self.options.publish_timeout = limit;
        self
    }

    /// The pauses before a message with a key is sent again, by its failed attempts in a row; from a tenth of a second to half
    /// a minute unless told otherwise. Only the delays of the policy count: such a message is sent until the broker takes
    /// or refuses it, or its own give-up time has come. Messages without key go by the policy of their tasks.
    pub fn backoff(mut self, policy: RetryPolicy) -> Self {
        self.options.backoff = policy;
        self
    }

    /// The topic at the broker, made of the message's: a prefix for the environment, say.
    pub fn topics(mut self, naming: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.options.naming = Arc::new(naming);
        self
    }

    /// How long an idle owner sleeps at most when no hint comes; 2 s unless told otherwise.
    pub fn idle_poll(mut self, interval: Duration) -> Self {
        self.options.idle_poll = interval;
        self
    }

    /// How long the store keeps partitions and messages for this relay without a heartbeat; 15 s unless told otherwise, at
    /// least 1 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How many partitions this relay owns at most at a time; all unless told otherwise.
    pub fn partitions_at_once(mut self, partitions: usize) -> Self {
        self.owned = partitions;
        self
    }

    /// How many messages without key are sent at once; 32 unless told otherwise.
    pub fn parallel(mut self, messages: usize) -> Self {
        self.parallel = messages;
        self
    }

    /// The relay's name, shown to operators; `relay` unless told otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Further options of the worker inside: alerts, say. What the relay needs itself is set over them.
    pub fn worker(
        mut self,
        options: impl Fn(WorkerBuilder) -> WorkerBuilder + Send + Sync + 'static,
    ) -> Self {
        self.worker = Arc::new(options);
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
    pub fn build(self) -> Result<Relay, BuildError> {
        let options = &self.options;
        if options.publish_timeout.is_zero() || options.publish_timeout > MAX_PUBLISH_TIMEOUT {
            return Err(BuildError::Span("the time of a call of the sink"));
        }
        if options.turn.is_zero() || options.idle_poll.is_zero() {
            return Err(BuildError::Span("a turn or the pause of an idle owner"));
        }
        if self.owned == 0 || self.parallel == 0 {
            return Err(BuildError::Zero("how many partitions and messages at once"));
        }
        let name = WorkerName::new(&self.name).map_err(BuildError::Name)?;
        let shared = Arc::new(Shared {
            queue: self.queue.clone(),
            sink: Arc::clone(&self.sink),
            options: self.options.clone(),
            counts: super::Counters::of(&self.queue),
            stop: CancellationToken::new(),
        });
        let members = self.store.parts();
        let stores = if members.is_empty() {
            vec![Arc::clone(&self.store)]
        } else {
            members
        };
        let mut parts = Vec::new();
        for (index, store) in stores.into_iter().enumerate() {
            let (clock, random) = (Arc::clone(&self.clock), Arc::clone(&self.random));
            let part = Part::new(index, store, clock, random, name.clone(), self.lease);
            let part = Arc::new(part);
            let worker = self
                .worker_of(&shared, &part)
                .build()
                .map_err(BuildError::Worker)?;
            parts.push((part, worker));
        }
        Ok(Relay {
            store: self.store,
            shared,
            parts,
            clock: self.clock,
            spawn: self.spawn,
        })
    }

    /// The worker that owns partitions and sends what has no key, on one part of the store.
    fn worker_of(&self, shared: &Arc<Shared>, part: &Arc<Part>) -> WorkerBuilder {
        let queue = &self.queue;
        let owned = self.owned.min(usize::from(queue.partition_count()));
        let owner = Owner {
            shared: Arc::clone(shared),
            part: Arc::clone(part),
        };
        let unkeyed = Unkeyed {
            shared: Arc::clone(shared),
            clock: Arc::clone(&self.clock),
        };
        // Of owner tasks none is claimed ahead: it would keep the partition from others.
        let once = RetryPolicy::once();
        (self.worker)(Worker::builder(Arc::clone(&part.store)))
            .clock(Arc::clone(&self.clock))
            .random(Arc::clone(&self.random))
            .spawn(Arc::clone(&self.spawn))
            .name(&self.name)
            .lease(self.lease)
            .concurrency(owned + self.parallel)
            .shutdown_grace(self.options.publish_timeout + SETTLE_GRACE)
            .queue(queue.name())
            .queue(queue.owner_queue().as_str())
            .executor(
                queue.owner_kind().as_str(),
                Arc::new(owner),
                TaskOptions::new().queue(queue.owner_queue().as_str()).retry(once),
                KindOptions::new().concurrency(owned).retry(endless()),
            )
            .executor(
                queue.message_kind().as_str(),
                Arc::new(unkeyed),
                TaskOptions::new().queue(queue.name()),
                KindOptions::new().concurrency(self.parallel),
            )
    }
}

impl Relay {
    /// Builds a relay from a queue of a store (the store itself, an `Arc` of it, or a `&Client`) to a sink.
    pub fn builder(store: impl IntoStore, queue: SinkQueue, sink: impl MessageSink) -> RelayBuilder {
        RelayBuilder {
            store: store.into_store(),
            queue,
            sink: Arc::new(sink),
            options: Options {
                turn: Duration::from_mins(1),
                idle_poll: Duration::from_secs(2),
                publish_timeout: Duration::from_secs(30),
                backoff: endless(),
                naming: Arc::new(str::to_owned),
            },
            lease: Duration::from_secs(15),
            owned: usize::MAX,
            parallel: 32,
            name: "relay".to_owned(),
            worker: Arc::new(|worker| worker),
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
            spawn: Arc::new(TokioSpawn),
        }
    }
}

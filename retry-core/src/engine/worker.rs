//! The worker: what to run, with which limits, on which store.

use std::collections::HashMap;
use std::sync::Arc;

use super::alerts::AlertConfig;
use super::builder::{IntoStore, WorkerBuilder};
use super::config::Config;
use super::handle::WorkerHandle;
use super::kind::KindEntry;
use super::round::Round;
use crate::client::Client;
use crate::clock::Clock;
use crate::executor::States;
use crate::meters::Meters;
use crate::name::{Kind, Queue};
use crate::propagate::Propagator;
use crate::seams::{Random, Spawn};
use crate::store::{MemoryStore, TaskStore};

/// Everything a worker is made of, shared by its loops and attempts.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) store: Arc<dyn TaskStore>,
    pub(super) config: Config,
    pub(super) alerts: AlertConfig,
    pub(super) meters: Meters,
    pub(super) kinds: HashMap<Kind, Arc<KindEntry>>,
    pub(super) queues: Vec<Queue>,
    pub(super) states: States,
    pub(super) propagator: Option<Arc<dyn Propagator>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) spawn: Arc<dyn Spawn>,
    /// Handlers are told to leave out their effects.
    pub(super) dry_run: bool,
}

/// Claims due tasks, runs their handlers and records the outcomes.
///
/// ```
/// # use retry_core as task_retry;
/// # use task_retry::draft::TaskPayload;
/// # use serde::{Deserialize, Serialize};
/// use task_retry::client::Client;
/// use task_retry::engine::Worker;
/// use task_retry::store::MemoryStore;
/// use std::time::Duration;
///
/// #[derive(Serialize, Deserialize)]
/// struct Welcome { email: String }
/// # impl TaskPayload for Welcome { const KIND: &'static str = "welcome"; }
///
/// async fn welcome(task: Welcome) -> Result<(), std::io::Error> {
///     println!("welcome, {}", task.email);
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(MemoryStore::new());
/// client.enqueue(Welcome { email: "ada@example.com".into() }).await?;
/// let worker = Worker::builder(&client).handler(welcome).build()?;
/// worker.tick(Duration::from_secs(5)).await?; // or .start() for a worker that goes on
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Worker {
    pub(super) setup: Arc<Setup>,
}

impl Worker {
    /// A worker of a store: the store itself, an `Arc` of it, or a `&Client`, of which it takes the store only: a clock and
    /// randomness of one's own are given to both.
    pub fn builder(store: impl IntoStore) -> WorkerBuilder {
        WorkerBuilder::new(store.into_store())
    }

    /// A worker whose handlers find [`Ctx::is_dry_run`](crate::executor::Ctx::is_dry_run) true, for a client of the store
    /// in memory: everything happens, retries and follow-ups included, and nothing that a handler leaves out in a dry
    /// run. Other stores are refused by the type: a dry worker ends the tasks that it runs, and there they are real.
    /// To try a stored task, see [`Client::dry_run`].
    ///
    /// ```
    /// # use retry_core as task_retry;
    /// # use task_retry::draft::TaskPayload;
    /// # use serde::{Deserialize, Serialize};
    /// use task_retry::client::Client;
    /// use task_retry::engine::Worker;
    /// use task_retry::executor::Ctx;
    /// use task_retry::store::MemoryStore;
    /// use std::time::Duration;
    ///
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Welcome { email: String }
    /// # impl TaskPayload for Welcome { const KIND: &'static str = "welcome"; }
    /// async fn welcome(task: Welcome, ctx: Ctx) -> Result<(), std::io::Error> {
    ///     if !ctx.is_dry_run() {
    ///         unreachable!("would send a mail to {}", task.email);
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new(MemoryStore::new());
    /// client.enqueue(Welcome { email: "ada@example.com".into() }).await?;
    /// Worker::dry_run(&client).handler(welcome).build()?.tick(Duration::from_secs(5)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn dry_run(client: &Client<MemoryStore>) -> WorkerBuilder {
        Self::builder(client).dry_run()
    }

    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup: Arc::new(setup),
        }
    }

    pub(super) const fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    /// Whether it has a handler for the kind.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn has_handler(&self, kind: &Kind) -> bool {
        self.setup.kinds.contains_key(kind)
    }

    /// Whether it claims from the queue.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn claims_from(&self, queue: &Queue) -> bool {
        self.setup.queues.contains(queue)
    }

    /// Starts the loops. The worker goes on until [`WorkerHandle::shutdown`]; a dropped handle stops it without grace,
    /// as a crash would, except that nothing new is claimed.
    ///
    /// # Panics
    /// Outside a tokio runtime, unless another [`Spawn`] was given to the builder.
    #[must_use = "a dropped handle stops the worker"]
    pub fn start(&self) -> WorkerHandle {
        let window = self.setup.config.window;
        WorkerHandle::start(Arc::clone(&self.setup), Round::endless(window))
    }

    /// Runs until `signal` ends, then shuts down gracefully. If this future is dropped, the worker stops without grace.
    ///
    /// # Panics
    /// Outside a tokio runtime, unless another [`Spawn`] was given.
    pub async fn run_until(&self, signal: impl Future<Output = ()> + Send) {
        let handle = self.start();
        signal.await;
        handle.shutdown().await;
    }
}

//! The worker: what to run, with which limits, on which store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::alerts::AlertConfig;
use super::builder::{IntoStore, WorkerBuilder};
use super::config::Config;
use super::handle::WorkerHandle;
use super::kind::KindEntry;
use crate::clock::Clock;
use crate::executor::States;
use crate::meters::Meters;
use crate::name::{Kind, Queue};
use crate::seams::{Random, Spawn};
use crate::store::{Result, TaskStore};

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
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) spawn: Arc<dyn Spawn>,
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
    setup: Arc<Setup>,
}

impl Worker {
    /// A worker of a store: the store itself, an `Arc` of it, or a `&Client`, of which it takes the store only: a clock and
    /// randomness of one's own are given to both.
    pub fn builder(store: impl IntoStore) -> WorkerBuilder {
        WorkerBuilder::new(store.into_store())
    }

    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup: Arc::new(setup),
        }
    }

    /// Starts the loops. The worker goes on until [`WorkerHandle::shutdown`]; a dropped handle stops it without grace,
    /// as a crash would, except that nothing new is claimed.
    ///
    /// # Panics
    /// Outside a tokio runtime, unless another [`Spawn`] was given to the builder.
    #[must_use = "a dropped handle stops the worker"]
    pub fn start(&self) -> WorkerHandle {
        WorkerHandle::start(Arc::clone(&self.setup))
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

    /// One bounded round, for users with a scheduler of their own: runs due tasks, of this worker's kinds, until
    /// nothing is due or `limit` has passed, then shuts down gracefully, which takes as long again as running handlers and
    /// the graces allow.
    ///
    /// When another worker's lease has ended, the round lasts at least the rescuer's grace of three seconds, so that
    /// its tasks come back also where only ticks run.
    ///
    /// # Errors
    /// The store did not answer at the start. What fails later is retried as in [`start`](Self::start).
    pub async fn tick(&self, limit: Duration) -> Result<()> {
        let now = self.setup.store.time().await?;
        let abandoned = self
            .setup
            .store
            .sessions()
            .await?
            .iter()
            .any(|session| !session.lost && session.lease_until < now);
        let handle = self.start();
        {
            let done = handle.until(|part| {
                let rescued = if abandoned { &part.marked } else { &part.rescued };
                part.is_idle() && rescued.load(Ordering::Acquire)
            });
            let clock = &self.setup.clock;
            let deadline = clock.sleep_until(clock.monotonic() + limit);
            match select(Box::pin(done), deadline).await {
                Either::Left(((), _)) => {}
                Either::Right(((), _)) => tracing::debug!("the tick's time is over"),
            }
        }
        handle.shutdown().await;
        Ok(())
    }
}

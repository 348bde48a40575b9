//! A worker's settings, checked before it starts.

use std::collections::HashMap;
use std::time::Duration;

use super::builder::BuildError;
use crate::limits::MAX_BATCH;
use crate::name::{Queue, WorkerName};

/// Attempts that run at once unless told otherwise: handlers mostly wait for a network.
const DEFAULT_CONCURRENCY: usize = 64;
/// A lost worker's tasks come back after this long, plus the rescuer's two or three seconds and the task's rescue delay.
const DEFAULT_LEASE: Duration = Duration::from_secs(15);
/// The shortest lease that survives an ordinary pause of the machine.
const MIN_LEASE: Duration = Duration::from_secs(1);
/// How long an idle worker sleeps at most when no hint comes.
const DEFAULT_IDLE_POLL: Duration = Duration::from_secs(1);
/// How often expired tasks are looked for: bounds the delay of wait deadlines, expiry and rescue.
const DEFAULT_RESCUE_INTERVAL: Duration = Duration::from_secs(1);
/// How often ended tasks are purged.
const DEFAULT_PURGE_INTERVAL: Duration = Duration::from_secs(5);
/// How long handlers may go on after a shutdown began.
const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// How long a cancelled handler may take to end by itself before its future is dropped.
const DEFAULT_CANCEL_GRACE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) name: WorkerName,
    pub(super) host: String,
    pub(super) concurrency: usize,
    pub(super) prefetch: Option<usize>,
    pub(super) queue_limits: HashMap<Queue, usize>,
    pub(super) lease: Duration,
    pub(super) idle_poll: Duration,
    pub(super) rescue_interval: Duration,
    pub(super) purge_interval: Duration,
    pub(super) purge_batch: usize,
    pub(super) shutdown_grace: Duration,
    pub(super) cancel_grace: Duration,
}

impl Config {
    pub(super) fn new(name: WorkerName, host: String) -> Self {
        Self {
            name,
            host,
            concurrency: DEFAULT_CONCURRENCY,
            prefetch: None,
            queue_limits: HashMap::new(),
            lease: DEFAULT_LEASE,
            idle_poll: DEFAULT_IDLE_POLL,
            rescue_interval: DEFAULT_RESCUE_INTERVAL,
            purge_interval: DEFAULT_PURGE_INTERVAL,
            purge_batch: MAX_BATCH,
            shutdown_grace: DEFAULT_SHUTDOWN_GRACE,
            cancel_grace: DEFAULT_CANCEL_GRACE,
        }
    }

    /// Claimed tasks that wait for a permit, at most: as many as run at once, so that a fast handler never waits for
    /// the store.
    pub(super) fn prefetch(&self) -> usize {
        self.prefetch.unwrap_or(self.concurrency).min(MAX_BATCH)
    }

    /// Three beats to a lease: two may be lost.
    pub(super) fn heartbeat(&self) -> Duration {
        self.lease / 3
    }

    pub(super) fn check(&self) -> Result<(), BuildError> {
        if self.concurrency == 0 || self.queue_limits.values().any(|limit| *limit == 0) {
            return Err(BuildError::Zero("the concurrency"));
        }
        if self.purge_batch == 0 {
            return Err(BuildError::Zero("the purge batch"));
        }
        if self.lease < MIN_LEASE {
            return Err(BuildError::LeaseTooShort {
                given: self.lease,
                least: MIN_LEASE,
            });
        }
        for (what, interval) in [
            ("the idle poll", self.idle_poll),
            ("the rescue interval", self.rescue_interval),
            ("the purge interval", self.purge_interval),
        ] {
            if interval.is_zero() {
                return Err(BuildError::Zero(what));
            }
        }
        Ok(())
    }
}

//! A worker's settings: from code, and with the feature `config` from a file and from the environment.

#[cfg(feature = "config")]
mod load;
#[cfg(feature = "config")]
mod options;
mod origins;
mod resolve;
#[cfg(all(test, feature = "config"))]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

#[cfg(feature = "config")]
pub use load::ConfigError;
#[cfg(feature = "config")]
pub use options::{ConfigOption, OPTIONS};
pub(super) use origins::Origins;
pub(super) use resolve::{Config, named};

/// A worker's settings as data. What is none keeps its default.
///
/// Given to [`WorkerBuilder::config`](super::WorkerBuilder::config), it fills in what code did not set: a setter of the
/// builder wins over the configuration, in whichever order they are called. Of several configurations the first wins:
/// with the feature `config`, `load` puts the environment before the file. Nothing is checked before
/// [`build`](super::WorkerBuilder::build), except what cannot be read at all; `build` names the file or the variable of
/// what is wrong, as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// The worker's name, shown to operators.
    pub name: Option<String>,
    /// The queues it claims from, at least one; none is those of its kinds.
    pub queues: Option<Vec<String>>,
    /// How many tasks of a queue run at once.
    pub queue_limits: BTreeMap<String, usize>,
    /// How many attempts run at once.
    pub concurrency: Option<usize>,
    /// How many claimed tasks may wait for a permit.
    pub prefetch: Option<usize>,
    /// How long the store keeps its tasks for it without a heartbeat.
    pub lease: Option<Duration>,
    /// How long it sleeps at most when idle and no hint comes.
    pub idle_poll: Option<Duration>,
    /// How often it looks for expired tasks of any worker.
    pub rescue_interval: Option<Duration>,
    /// How many ended tasks one call purges at most.
    pub purge_batch: Option<usize>,
    /// How often it purges ended tasks.
    pub purge_interval: Option<Duration>,
    /// How long handlers may go on after a shutdown began.
    pub shutdown_grace: Option<Duration>,
    /// How long a cancelled handler may take to end by itself.
    pub cancel_grace: Option<Duration>,
    /// It leaves tasks alone that became due longer ago than this.
    pub scan_max_age: Option<Duration>,
    /// It leaves tasks alone that became due less long ago than this.
    pub scan_min_age: Option<Duration>,
    /// Headers that children and follow-ups get from their task.
    pub inherit_headers: Option<Vec<String>>,
    pub(super) origins: Origins,
}

impl WorkerConfig {
    /// No settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These settings, and those of `other` where these are none; limits are put together queue by queue.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let origins = self.origins.clone().or(other.origins, |key| self.has(key));
        let mut queue_limits = other.queue_limits;
        queue_limits.extend(self.queue_limits);
        Self {
            name: self.name.or(other.name),
            queues: self.queues.or(other.queues),
            queue_limits,
            concurrency: self.concurrency.or(other.concurrency),
            prefetch: self.prefetch.or(other.prefetch),
            lease: self.lease.or(other.lease),
            idle_poll: self.idle_poll.or(other.idle_poll),
            rescue_interval: self.rescue_interval.or(other.rescue_interval),
            purge_batch: self.purge_batch.or(other.purge_batch),
            purge_interval: self.purge_interval.or(other.purge_interval),
            shutdown_grace: self.shutdown_grace.or(other.shutdown_grace),
            cancel_grace: self.cancel_grace.or(other.cancel_grace),
            scan_max_age: self.scan_max_age.or(other.scan_max_age),
            scan_min_age: self.scan_min_age.or(other.scan_min_age),
            inherit_headers: self.inherit_headers.or(other.inherit_headers),
            origins,
        }
    }

    /// Whether the setting of this key is set here.
    fn has(&self, key: &str) -> bool {
        match key {
            "name" => self.name.is_some(),
            "queues" => self.queues.is_some(),
            "concurrency" => self.concurrency.is_some(),
            "prefetch" => self.prefetch.is_some(),
            "lease" => self.lease.is_some(),
            "idle_poll" => self.idle_poll.is_some(),
            "rescue_interval" => self.rescue_interval.is_some(),
            "purge_batch" => self.purge_batch.is_some(),
            "purge_interval" => self.purge_interval.is_some(),
            "shutdown_grace" => self.shutdown_grace.is_some(),
            "cancel_grace" => self.cancel_grace.is_some(),
            "scan_max_age" => self.scan_max_age.is_some(),
            "scan_min_age" => self.scan_min_age.is_some(),
            "inherit_headers" => self.inherit_headers.is_some(),
            limit => self
                .queue_limits
                .keys()
                .any(|queue| origins::limit_of(queue) == limit),
        }
    }
}

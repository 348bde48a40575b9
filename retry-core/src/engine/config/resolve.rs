//! From settings to the values a worker runs with, checked one by one and against each other.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::WorkerConfig;
use super::origins::{Origins, limit_of};
use crate::engine::BuildError;
use crate::engine::window::ScanWindow;
use crate::limits::MAX_BATCH;
use crate::name::{InvalidName, Queue, WorkerName};
use crate::propagate::TRACE_HEADERS;

/// Attempts that run at once unless told otherwise: handlers mostly wait for a network.
const DEFAULT_CONCURRENCY: usize = 64;
/// The most attempts at once: each is a future with its payload; more is a slip of the keyboard.
const MAX_CONCURRENCY: usize = 100_000;
/// A lost worker's tasks come back after this long, plus the rescuer's two or three seconds and the task's rescue delay.
const DEFAULT_LEASE: Duration = Duration::from_secs(15);
/// The shortest lease that survives an ordinary pause of the machine.
const MIN_LEASE: Duration = Duration::from_secs(1);
/// The longest lease, and the longest pause between two rounds of a loop: tasks of a lost worker wait as long, and due
/// tasks without a hint. More is most likely a wrong unit.
const MAX_INTERVAL: Duration = Duration::from_hours(1);
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Config {
    pub(in crate::engine) name: WorkerName,
    pub(in crate::engine) host: String,
    pub(in crate::engine) concurrency: usize,
    prefetch: Option<usize>,
    pub(in crate::engine) queue_limits: HashMap<Queue, usize>,
    pub(in crate::engine) lease: Duration,
    pub(in crate::engine) idle_poll: Duration,
    pub(in crate::engine) rescue_interval: Duration,
    pub(in crate::engine) purge_interval: Duration,
    pub(in crate::engine) purge_batch: usize,
    pub(in crate::engine) shutdown_grace: Duration,
    pub(in crate::engine) cancel_grace: Duration,
    pub(in crate::engine) window: ScanWindow,
    pub(in crate::engine) inherit_headers: Vec<String>,
}

impl Config {
    /// The settings with defaults in place of what is none. `window` is the part of it that only code can give.
    pub(in crate::engine) fn resolve(
        settings: &WorkerConfig,
        name_of_host: WorkerName,
        host: String,
        mut window: ScanWindow,
    ) -> Result<Self, BuildError> {
        let origins = &settings.origins;
        let given = settings.name.as_ref().map(|name| named("worker name", name));
        let name = given
            .transpose()
            .map_err(|error| origins.blame(&["name"], error))?;
        let name = name.unwrap_or(name_of_host);
        let limits = settings.queue_limits.iter();
        let queue_limits = limits
            .map(|(queue, limit)| {
                let of = |error| origins.blame(&[&limit_of(queue)], error);
                above_zero("the limit of a queue", *limit).map_err(of)?;
                Ok((named("queue", queue).map_err(of)?, *limit))
            })
            .collect::<Result<_, _>>()?;
        if let Some(age) = settings.scan_max_age {
            window = window.max_age(age);
        }
        if let Some(age) = settings.scan_min_age {
            window = window.min_age(age);
        }
        let inherited = || TRACE_HEADERS.map(str::to_owned).to_vec();
        let config = Self {
            name,
            host,
            queue_limits,
            window,
            concurrency: settings.concurrency.unwrap_or(DEFAULT_CONCURRENCY),
            prefetch: settings.prefetch,
            lease: settings.lease.unwrap_or(DEFAULT_LEASE),
            idle_poll: settings.idle_poll.unwrap_or(DEFAULT_IDLE_POLL),
            rescue_interval: settings.rescue_interval.unwrap_or(DEFAULT_RESCUE_INTERVAL),
            purge_interval: settings.purge_interval.unwrap_or(DEFAULT_PURGE_INTERVAL),
            purge_batch: settings.purge_batch.unwrap_or(MAX_BATCH),
            shutdown_grace: settings.shutdown_grace.unwrap_or(DEFAULT_SHUTDOWN_GRACE),
            cancel_grace: settings.cancel_grace.unwrap_or(DEFAULT_CANCEL_GRACE),
            inherit_headers: settings.inherit_headers.clone().unwrap_or_else(inherited),
        };
        config.check(origins)?;
        Ok(config)
    }

    /// Claimed tasks that wait for a permit, at most: as many as run at once, so that a fast handler never waits for
    /// the store.
    pub(in crate::engine) fn prefetch(&self) -> usize {
        self.prefetch.unwrap_or(self.concurrency).min(MAX_BATCH)
    }

    /// Three beats to a lease: two may be lost.
    pub(in crate::engine) fn heartbeat(&self) -> Duration {
        self.lease / 3
    }

    fn check(&self, origins: &Origins) -> Result<(), BuildError> {
        let of = |key: &str, checked: Result<(), BuildError>| {
            checked.map_err(|error| origins.blame(&[key], error))
        };
        let numbers = [
            (
                "concurrency",
                "the concurrency",
                self.concurrency,
                MAX_CONCURRENCY,
            ),
            ("purge_batch", "the purge batch", self.purge_batch, MAX_BATCH),
        ];
        for (key, what, given, most) in numbers {
            of(key, above_zero(what, given))?;
            of(key, at_most(what, given, most))?;
        }
        let prefetch = self.prefetch.unwrap_or(0);
        of("prefetch", at_most("the prefetch", prefetch, MAX_BATCH))?;
        if self.lease < MIN_LEASE {
            let (given, least) = (self.lease, MIN_LEASE);
            of("lease", Err(BuildError::LeaseTooShort { given, least }))?;
        }
        let intervals = [
            ("idle_poll", "the idle poll", self.idle_poll, MAX_INTERVAL),
            (
                "rescue_interval",
                "the rescue interval",
                self.rescue_interval,
                MAX_INTERVAL,
            ),
            ("lease", "the lease", self.lease, MAX_INTERVAL),
            // A worker that shall not purge may have one of years.
            (
                "purge_interval",
                "the purge interval",
                self.purge_interval,
                Duration::MAX,
            ),
        ];
        for (key, what, interval, most) in intervals {
            if interval.is_zero() {
                of(key, Err(BuildError::Zero(what)))?;
            }
            of(key, within(what, interval, "the longest interval", most))?;
        }
        let (rescue, bound) = ("the rescue interval", "the lease");
        within(rescue, self.rescue_interval, bound, self.lease)
            .map_err(|error| origins.blame(&["rescue_interval", "lease"], error))?;
        if self.window.is_empty() {
            let keys = ["scan_min_age", "scan_max_age"];
            return Err(origins.blame(&keys, BuildError::EmptyWindow));
        }
        Ok(())
    }

    /// A limit of a queue that the worker does not claim from would be passed over in silence.
    pub(in crate::engine) fn check_queues(
        &self,
        queues: &BTreeSet<Queue>,
        origins: &Origins,
    ) -> Result<(), BuildError> {
        let Some(queue) = self.queue_limits.keys().find(|queue| !queues.contains(*queue)) else {
            return Ok(());
        };
        let error = BuildError::UnclaimedQueue {
            queue: queue.clone(),
            claimed: queues.iter().cloned().collect(),
        };
        Err(origins.blame(&[&limit_of(queue.as_str())], error))
    }
}

pub(in crate::engine) fn named<'n, N>(what: &'static str, given: &'n str) -> Result<N, BuildError>
where
    N: TryFrom<&'n str, Error = InvalidName>,
{
    N::try_from(given).map_err(|error| BuildError::Name {
        what,
        given: given.to_owned(),
        error,
    })
}

const fn above_zero(what: &'static str, given: usize) -> Result<(), BuildError> {
    if given == 0 {
        return Err(BuildError::Zero(what));
    }
    Ok(())
}

fn at_most(what: &'static str, given: usize, most: usize) -> Result<(), BuildError> {
    if given > most {
        return Err(BuildError::TooMany { what, given, most });
    }
    Ok(())
}

fn within(
    what: &'static str,
    given: Duration,
    bound: &'static str,
    most: Duration,
) -> Result<(), BuildError> {
    if given > most {
        return Err(BuildError::TooLong {
            what,
            given,
            bound,
            most,
        });
    }
    Ok(())
}

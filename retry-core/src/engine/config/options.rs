//! Every setting that a file and the environment know: its name, its form, its default, what it means.

use std::collections::BTreeMap;
use std::time::Duration;

use super::WorkerConfig;

/// One setting, as the guide's page of all settings shows it.
#[derive(Debug, Clone, Copy)]
pub struct ConfigOption {
    /// Its key in a file; in the environment it is in capitals behind `TASK_RETRY_WORKER_`.
    pub key: &'static str,
    /// Its default as it would be written, or in words.
    pub default: &'static str,
    /// What it means, with its bounds.
    pub doc: &'static str,
    pub(super) place: Place,
}

impl ConfigOption {
    /// What a value is: its form, and with it its unit.
    #[must_use]
    pub const fn form(&self) -> &'static str {
        match self.place {
            Place::Text(_) => "text",
            Place::Texts(_) => "list of texts",
            Place::Number(_) => "number",
            Place::Span(_) => "duration",
            Place::Numbers(_) => "table of numbers",
        }
    }

    /// Its variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{}{}", super::load::PREFIX, self.key.to_ascii_uppercase())
    }
}

type In<T> = fn(&mut WorkerConfig) -> &mut T;

/// Where a setting is kept.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Text(In<Option<String>>),
    Texts(In<Option<Vec<String>>>),
    Number(In<Option<usize>>),
    Span(In<Option<Duration>>),
    Numbers(In<BTreeMap<String, usize>>),
}

const fn option(key: &'static str, place: Place, default: &'static str, doc: &'static str) -> ConfigOption {
    ConfigOption {
        key,
        default,
        doc,
        place,
    }
}

/// All settings.
pub const OPTIONS: &[ConfigOption] = &[
    option(
        "cancel_grace",
        Place::Span(|config| &mut config.cancel_grace),
        "2s",
        "How long a cancelled handler may take to end by itself before its future is dropped.",
    ),
    option(
        "concurrency",
        Place::Number(|config| &mut config.concurrency),
        "64",
        "How many attempts run at once, 1 to 100000.",
    ),
    option(
        "idle_poll",
        Place::Span(|config| &mut config.idle_poll),
        "1s",
        "How long an idle worker sleeps at most when no hint comes, at most 1h.",
    ),
    option(
        "inherit_headers",
        Place::Texts(|config| &mut config.inherit_headers),
        "traceparent, tracestate, baggage",
        "Headers that children and follow-ups get from the task that makes them.",
    ),
    option(
        "lease",
        Place::Span(|config| &mut config.lease),
        "15s",
        "How long the store keeps the worker's tasks for it without a heartbeat, which comes three times as often; 1s to 1h.",
    ),
    option(
        "name",
        Place::Text(|config| &mut config.name),
        "host and process id",
        "The worker's name, shown to operators: 1–128 bytes of `[A-Za-z0-9._:/-]`.",
    ),
    option(
        "prefetch",
        Place::Number(|config| &mut config.prefetch),
        "as `concurrency`, at most 1000",
        "How many claimed tasks may wait for a permit, 0 to 1000.",
    ),
    option(
        "purge_batch",
        Place::Number(|config| &mut config.purge_batch),
        "1000",
        "How many ended tasks one call purges at most, 1 to 1000.",
    ),
    option(
        "purge_interval",
        Place::Span(|config| &mut config.purge_interval),
        "5s",
        "How often ended tasks are purged.",
    ),
    option(
        "queue_limits",
        Place::Numbers(|config| &mut config.queue_limits),
        "none",
        "How many tasks of a queue run at once, for queues that the worker claims from.",
    ),
    option(
        "queues",
        Place::Texts(|config| &mut config.queues),
        "those of the kinds",
        "The queues the worker claims from, at least one.",
    ),
    option(
        "rescue_interval",
        Place::Span(|config| &mut config.rescue_interval),
        "1s",
        "How often expired tasks of any worker are looked for, at most the lease.",
    ),
    option(
        "scan_max_age",
        Place::Span(|config| &mut config.scan_max_age),
        "none",
        "Tasks that became due longer ago are left alone.",
    ),
    option(
        "scan_min_age",
        Place::Span(|config| &mut config.scan_min_age),
        "none",
        "Tasks that became due less long ago are left alone.",
    ),
    option(
        "shutdown_grace",
        Place::Span(|config| &mut config.shutdown_grace),
        "10s",
        "How long handlers may go on after a shutdown began before they are cancelled.",
    ),
];

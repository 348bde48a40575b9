//! Metrics: what the engine counts and measures, through the `metrics` facade. Without the feature `metrics` every call
//! is an empty function.
//!
//! The names stand in one table (`names.rs`), which the page `docs/metrics.md` repeats and a test compares.

#[cfg(feature = "metrics")]
mod live;
#[cfg(feature = "metrics")]
mod metered;
#[cfg(feature = "metrics")]
mod names;
#[cfg(not(feature = "metrics"))]
mod none;
#[cfg(all(test, feature = "metrics"))]
mod tests;

#[cfg(feature = "metrics")]
pub(crate) use live::{Meters, outbox_handed_over, outbox_lag, outbox_set_aside, part_open};
#[cfg(not(feature = "metrics"))]
pub(crate) use none::{Meters, outbox_handed_over, outbox_lag, outbox_set_aside, part_open};

/// Whether anything is counted: what costs a read of a database only to be shown is left out otherwise.
pub(crate) const ON: bool = cfg!(feature = "metrics");

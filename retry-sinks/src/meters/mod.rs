//! Metrics of a relay, through the `metrics` facade. Without the feature `metrics` every call is an empty function.
//!
//! The names stand in one table (`names.rs`), which the page `docs/metrics.md` repeats and a test compares.

#[cfg(feature = "metrics")]
mod live;
#[cfg(feature = "metrics")]
mod names;
#[cfg(not(feature = "metrics"))]
mod none;
#[cfg(all(test, feature = "metrics"))]
mod tests;

#[cfg(feature = "metrics")]
pub(crate) use live::Meters;
#[cfg(not(feature = "metrics"))]
pub(crate) use none::Meters;

/// A partition of a part of the store.
pub(crate) type Place = (usize, u16);

//! Time as the engine sees it: injected, so that tests and the simulation decide it.

mod manual;
mod synced;
mod system;

use std::fmt;
use std::future::Future;
use std::ops::Add;
use std::pin::Pin;
use std::time::Duration;

pub use manual::ManualClock;
pub use synced::SyncedClock;
pub use system::SystemClock;

use crate::time::Timestamp;

/// A point on a clock that never steps: the time since an arbitrary start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// A point so late that it never comes.
    pub const NEVER: Self = Self(Duration::MAX);

    /// The point `since_start` after the clock's start.
    #[must_use]
    pub const fn from_start(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The time since the clock's start.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to this, zero when `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// A sleep, see [`Clock::sleep_until`].
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The engine's only source of time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day. It may step, in both directions.
    fn now(&self) -> Timestamp;

    /// Time that never steps back; leases are measured with it.
    fn monotonic(&self) -> Monotonic;

    /// Ends at `deadline`, at once when that is past. Cancel-safe.
    fn sleep_until(&self, deadline: Monotonic) -> Sleep;
}

#[cfg(test)]
const fn _object_safe(_: &dyn Clock) {}

//! Ready-made policies, named after the shape of their delays.

use std::time::Duration;

use super::{Backoff, Jitter, MeasuredFrom, RetryPolicy};

/// Ready-made policies. All but the default have exact figures: no jitter, no minimum, no give-up time, measured from
/// the attempt's end. Where many tasks may fail together, add jitter with [`RetryPolicy::to_builder`].
impl RetryPolicy {
    /// The attempts of the default policy: 100.
    pub const DEFAULT_MAX_ATTEMPTS: u32 = 100;

    /// One attempt and no retry.
    #[must_use]
    pub fn once() -> Self {
        Self::exact(Backoff::fixed(Duration::ZERO), Some(1))
    }

    /// n · `interval` after failure n, endless: 20, 40, 60 s at 20 s. At most [`Backoff::DEFAULT_CAP`].
    #[must_use]
    pub fn linear(interval: Duration) -> Self {
        Self::exact(Backoff::linear(interval), None)
    }

    /// (n + 1) · `interval` after failure n, endless: 40, 60, 80 s at 20 s. At most [`Backoff::DEFAULT_CAP`].
    #[must_use]
    pub fn linear_from_double(interval: Duration) -> Self {
        Self::exact(Backoff::linear_from_double(interval), None)
    }

    /// 5 s, 100 s, then ten times longer each: 1,000, 10⁴ and 10⁵ s (about 28 h). Six attempts.
    #[must_use]
    pub fn tenfold() -> Self {
        let backoff = Backoff::exponential_unchecked(Duration::from_secs(5), Duration::from_secs(10), 10);
        Self::exact(backoff, Some(6))
    }

    fn exact(backoff: Backoff, max_attempts: Option<u32>) -> Self {
        Self {
            backoff,
            jitter: Jitter::None,
            min_delay_ms: 0,
            max_attempts,
            give_up_after: None,
            measured_from: MeasuredFrom::AttemptEnd,
        }
    }
}

/// 1 s, doubling, at most 1 h, equal jitter, 100 attempts, measured from the attempt's end, no give-up time.
///
/// Why these figures:
/// - **1 s, doubling**: most failures are short; twelve retries come within the first hour or so.
/// - **at most 1 h**: when an outage ends, every waiting task is tried within the hour.
/// - **100 attempts**: with the delays above about 66 hours (44 and 88 at the extremes of jitter), not counting the
///   attempts themselves. A task outlasts a weekend in which nobody repairs anything, and then fails visibly instead
///   of being retried for ever.
/// - **equal jitter**: tasks that failed together come back spread, yet none of them at once.
///
/// Others choose differently. Sidekiq, River and Delayed Job try about 25 times over about three weeks, with waits
/// of days at the end: fewer calls, but a repaired dependency may be noticed days later. Temporal retries an activity
/// without limit, 1 s doubling to 100 s: quicker to notice, but a hopeless task never ends by itself.
impl Default for RetryPolicy {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        let backoff = Backoff::exponential_unchecked(second, second, 2).cap(Duration::from_hours(1));
        Self {
            jitter: Jitter::Equal,
            ..Self::exact(backoff, Some(Self::DEFAULT_MAX_ATTEMPTS))
        }
    }
}

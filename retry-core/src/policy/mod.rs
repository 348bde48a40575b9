//! When a failed task runs again: a pure function of the policy, the failure count, two times and a random number.
//!
//! A [`RetryPolicy`] joins a [`Backoff`] (the sequence of delays), a [`Jitter`] (their spread) and limits (how many
//! attempts, for how long). It keeps no state, reads no time and draws no random number: what it needs is passed
//! in, so the same arguments give the same plan, on every machine and in every replay.

mod backoff;
mod builder;
mod error;
mod jitter;
mod presets;

use std::ops::RangeInclusive;
use std::time::Duration;

pub use self::backoff::Backoff;
pub use self::builder::RetryPolicyBuilder;
pub use self::error::PolicyError;
pub use self::jitter::Jitter;
use crate::time::Timestamp;

/// When a failed task runs again, and when it no longer does.
///
/// Made by [`builder`](Self::builder), by a preset such as [`linear`](Self::linear), or by `default()`. Immutable and
/// cheap to clone.
///
/// Guarantees, for every policy and every argument:
/// - the delay after a failure is at least the minimum delay and at most the cap of the backoff;
/// - the next run is never before the attempt's end plus the minimum delay;
/// - nothing overflows or panics (unless a custom backoff's function does): a time beyond
///   [`Timestamp::MAX`] is `Timestamp::MAX`;
/// - without jitter, delays never go down where the backoff's do not.
///
/// The limits are only carried here. The state machine applies the number of attempts, and the client turns the
/// give-up time into an absolute one when it creates the task.
///
/// ```
/// # use retry_core as task_retry;
/// use std::time::Duration;
/// use task_retry::policy::{Backoff, Jitter, RetryPolicy};
/// use task_retry::time::Timestamp;
///
/// let policy = RetryPolicy::builder()
///     .backoff(Backoff::plain_exponential(Duration::from_secs(2), 3)?.cap(Duration::from_mins(10)))
///     .jitter(Jitter::Full)
///     .min_delay(Duration::from_secs(1))
///     .max_attempts(8)
///     .give_up_after(Duration::from_hours(48))
///     .build()?;
///
/// let started = Timestamp::from_millis(1_000);
/// let ended = Timestamp::from_millis(4_000);
/// let random = 42; // from the caller's generator
/// let next = policy.next_run(3, started, ended, random);
/// assert!(next >= Timestamp::from_millis(5_000)); // 1 s after the end
/// assert!(next <= Timestamp::from_millis(22_000)); // 2 s · 3² after the end
/// # Ok::<(), task_retry::policy::PolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    backoff: Backoff,
    jitter: Jitter,
    min_delay_ms: u64,
    max_attempts: Option<u32>,
    give_up_after: Option<Duration>,
    measured_from: MeasuredFrom,
}

/// The instant from which a delay counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MeasuredFrom {
    /// The end of the failed attempt: a rest of the full delay between two attempts.
    #[default]
    AttemptEnd,
    /// The start of the failed attempt: a steady rhythm whatever an attempt takes. An attempt that outlasts its delay
    /// is followed by the next one after the policy's minimum delay.
    AttemptStart,
}

impl RetryPolicy {
    /// A builder that starts from the default policy.
    pub fn builder() -> RetryPolicyBuilder {
        RetryPolicyBuilder::new(Self::default())
    }

    /// A builder that starts from this policy.
    ///
    /// ```
    /// # use retry_core as task_retry;
    /// use std::time::Duration;
    /// use task_retry::policy::{Jitter, RetryPolicy};
    ///
    /// let spread = RetryPolicy::linear(Duration::from_secs(20)).to_builder().jitter(Jitter::Equal).build()?;
    /// assert_eq!(spread.max_attempts(), None);
    /// # Ok::<(), task_retry::policy::PolicyError>(())
    /// ```
    pub fn to_builder(&self) -> RetryPolicyBuilder {
        RetryPolicyBuilder::new(self.clone())
    }

    /// When a task runs again after its attempt number `failures` failed (from 1; 0 is read as 1).
    ///
    /// It is [`delay`](Self::delay) after the attempt's end or start, and never before `ended_at` plus the minimum
    /// delay. A start after the end (times taken on two machines) is read as the end. `random` is used for jitter
    /// only; it should be drawn anew, uniformly from all 64-bit numbers, for every failure.
    #[must_use]
    pub fn next_run(
        &self,
        failures: u32,
        started_at: Timestamp,
        ended_at: Timestamp,
        random: u64,
    ) -> Timestamp {
        let from = match self.measured_from {
            MeasuredFrom::AttemptEnd => ended_at,
            MeasuredFrom::AttemptStart => started_at.min(ended_at),
        };
        let planned = from.saturating_add(self.delay(failures, random));
        planned.max(ended_at.saturating_add(self.min_delay()))
    }

    /// The delay after the given number of failures, spread by jitter, in whole milliseconds. It lies within
    /// [`delay_range`](Self::delay_range) and is the same for the same arguments.
    #[must_use]
    pub fn delay(&self, failures: u32, random: u64) -> Duration {
        let (low, high) = self.range_ms(failures);
        Duration::from_millis(jitter::pick(low, high, random))
    }

    /// The shortest and the longest delay that jitter can make of this failure, both possible.
    #[must_use]
    pub fn delay_range(&self, failures: u32) -> RangeInclusive<Duration> {
        let (low, high) = self.range_ms(failures);
        Duration::from_millis(low)..=Duration::from_millis(high)
    }

    /// The first `retries` delays without jitter, fewer when the attempts are used up before: for documentation, logs
    /// and tools. It ignores the give-up time, which depends on how long the attempts take.
    ///
    /// ```
    /// # use retry_core as task_retry;
    /// use task_retry::policy::RetryPolicy;
    ///
    /// let seconds: Vec<u64> = RetryPolicy::tenfold().timetable(10).iter().map(|delay| delay.as_secs()).collect();
    /// assert_eq!(seconds, [5, 100, 1_000, 10_000, 100_000]); // six attempts, so five retries
    /// ```
    #[must_use]
    pub fn timetable(&self, retries: u32) -> Vec<Duration> {
        let possible = self
            .max_attempts
            .map_or(u32::MAX, |attempts| attempts.saturating_sub(1));
        (1..=retries.min(possible))
            .map(|failures| Duration::from_millis(self.bounded_ms(self.backoff.delay_ms(failures))))
            .collect()
    }

    /// How many attempts a task gets in all, the first one included, 1 or more; `None` is endless.
    #[must_use]
    pub const fn max_attempts(&self) -> Option<u32> {
        self.max_attempts
    }

    /// How old a task may become, counted from its creation, before it is no longer retried; `None` is for ever.
    #[must_use]
    pub const fn give_up_after(&self) -> Option<Duration> {
        self.give_up_after
    }

    /// The shortest wait between the end of an attempt and the next one.
    #[must_use]
    pub const fn min_delay(&self) -> Duration {
        Duration::from_millis(self.min_delay_ms)
    }

    /// The sequence of delays.
    #[must_use]
    pub const fn backoff(&self) -> &Backoff {
        &self.backoff
    }

    /// How delays are spread.
    #[must_use]
    pub const fn jitter(&self) -> Jitter {
        self.jitter
    }

    /// The instant from which a delay counts.
    #[must_use]
    pub const fn measured_from(&self) -> MeasuredFrom {
        self.measured_from
    }

    fn range_ms(&self, failures: u32) -> (u64, u64) {
        let (low, high) = self.jitter.range_ms(&self.backoff, failures);
        (self.bounded_ms(low), self.bounded_ms(high))
    }

    /// Within minimum and cap; the builder made sure that they are in this order.
    fn bounded_ms(&self, delay_ms: u64) -> u64 {
        delay_ms.min(self.backoff.cap_ms()).max(self.min_delay_ms)
    }
}

#[cfg(test)]
mod policy_test;

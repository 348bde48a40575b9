//! Builds a retry policy, and refuses one that contradicts itself.

use std::time::Duration;

use super::backoff::whole_millis;
use super::{Backoff, Jitter, MeasuredFrom, PolicyError, RetryPolicy};

/// Settings of a [`RetryPolicy`] in the making; see [`RetryPolicy::builder`] and [`RetryPolicy::to_builder`].
///
/// What is not set keeps the value the builder started with. Nothing is checked before [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct RetryPolicyBuilder {
    policy: RetryPolicy,
}

impl RetryPolicyBuilder {
    pub(super) const fn new(policy: RetryPolicy) -> Self {
        Self { policy }
    }

    /// The sequence of delays. Default: 1 s, doubling, at most 1 h.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.policy.backoff = backoff;
        self
    }

    /// How delays are spread. Default: [`Jitter::Equal`].
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.policy.jitter = jitter;
        self
    }

    /// The shortest wait between the end of an attempt and the next one, whatever backoff, jitter and
    /// [`MeasuredFrom`] say. A fraction of a millisecond is rounded up. Default: zero, so that a policy shows the
    /// figures of its backoff and nothing else.
    pub fn min_delay(mut self, min_delay: Duration) -> Self {
        self.policy.min_delay_ms = whole_millis(min_delay);
        self
    }

    /// How many attempts a task gets in all, the first one included: `max_attempts(6)` is one run and five retries.
    /// Default: [`RetryPolicy::DEFAULT_MAX_ATTEMPTS`].
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.policy.max_attempts = Some(attempts);
        self
    }

    /// No limit of attempts. A give-up time still applies.
    pub const fn endless(mut self) -> Self {
        self.policy.max_attempts = None;
        self
    }

    /// Stops retrying once a task is this old, counted from its creation. Default: never.
    pub const fn give_up_after(mut self, age: Duration) -> Self {
        self.policy.give_up_after = Some(age);
        self
    }

    /// Takes the give-up time away.
    pub const fn never_give_up(mut self) -> Self {
        self.policy.give_up_after = None;
        self
    }

    /// Whether a delay counts from the attempt's end or from its start. Default: [`MeasuredFrom::AttemptEnd`].
    pub const fn measured_from(mut self, measured_from: MeasuredFrom) -> Self {
        self.policy.measured_from = measured_from;
        self
    }

    /// The policy, if its settings agree.
    ///
    /// # Errors
    ///
    /// [`PolicyError::ZeroAttempts`], [`PolicyError::ZeroGiveUp`] or [`PolicyError::MinDelayAboveCap`].
    pub fn build(self) -> Result<RetryPolicy, PolicyError> {
        let policy = self.policy;
        if policy.max_attempts == Some(0) {
            return Err(PolicyError::ZeroAttempts);
        }
        if policy.give_up_after == Some(Duration::ZERO) {
            return Err(PolicyError::ZeroGiveUp);
        }
        let cap_ms = policy.backoff.cap_ms();
        if policy.min_delay_ms > cap_ms {
            return Err(PolicyError::MinDelayAboveCap {
                min_delay: policy.min_delay(),
                cap: Duration::from_millis(cap_ms),
            });
        }
        Ok(policy)
    }
}

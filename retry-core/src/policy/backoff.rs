//! The delay sequences: how long to wait after the nth failure, before jitter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::PolicyError;

/// A sequence of delays: how long to wait after the first failure, after the second, and so on.
///
/// | constructor | after failure n | figures |
/// |---|---|---|
/// | [`fixed`](Self::fixed) | d | 5, 5, 5 s at 5 s |
/// | [`linear`](Self::linear) | n · interval | 20, 40, 60 s at 20 s |
/// | [`linear_from_double`](Self::linear_from_double) | (n + 1) · interval | 40, 60, 80 s at 20 s |
/// | [`doubling`](Self::doubling) | first · 2ⁿ⁻¹ | 1, 2, 4, 8 s at 1 s |
/// | [`plain_exponential`](Self::plain_exponential) | first · factorⁿ⁻¹ | 1, 2, 4, 8 s at 1 s × 2 |
/// | [`exponential`](Self::exponential) | `first`, then base · multⁿ⁻¹ | 5, 100, 1000, 10⁴, 10⁵ s at 5 s, 10 s × 10 |
/// | [`list`](Self::list) | the nth of the list, the last one repeats | as written |
/// | [`custom`](Self::custom) | what the function says | as written |
///
/// Guarantees, for every sequence:
/// - No delay is above the cap: the one set with [`cap`](Self::cap), else [`DEFAULT_CAP`](Self::DEFAULT_CAP), else the
///   longest delay given to the constructor when that is longer still. So the default never cuts a delay that was
///   written down, only one that the sequence grew into.
/// - Nothing overflows: a delay too large to compute is the cap.
/// - Delays are whole milliseconds, the resolution of [`Timestamp`](crate::time::Timestamp); a fraction is rounded up,
///   so a wait is never shorter than asked for.
/// - All but `list` and `custom` never go down as failures go up (`exponential`: from the second failure on; from
///   the first when `first` ≤ base · mult).
/// - Failures count from 1, and 0 is read as 1.
///
/// ```
/// # use retry_core as task_retry;
/// use std::time::Duration;
/// use task_retry::policy::Backoff;
///
/// let backoff = Backoff::linear(Duration::from_secs(20)).cap(Duration::from_secs(50));
/// assert_eq!(backoff.delay(1), Duration::from_secs(20));
/// assert_eq!(backoff.delay(2), Duration::from_secs(40));
/// assert_eq!(backoff.delay(3), Duration::from_secs(50));
/// assert_eq!(backoff.delay(u32::MAX), Duration::from_secs(50));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    sequence: Sequence,
    cap_ms: u64,
}

/// The formulas. Times are milliseconds.
#[derive(Clone, Debug)]
enum Sequence {
    Fixed { delay_ms: u64 },
    Linear { interval_ms: u64, ahead: u64 },
    Exponential { first_ms: u64, base_ms: u64, mult: u32 },
    List { delays_ms: Arc<[u64]>, last_ms: u64 },
    Custom(CustomDelay),
}

/// A user's function, opaque in debug output.
#[derive(Clone)]
struct CustomDelay(Arc<dyn Fn(u32) -> Duration + Send + Sync>);

impl fmt::Debug for CustomDelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl Backoff {
    /// The cap of a sequence that sets none: seven days. Longer than any delay a person plans for, and short enough
    /// that a task on an endless sequence is still heard of every week.
    pub const DEFAULT_CAP: Duration = Duration::from_hours(7 * 24);

    /// The same `delay` after every failure.
    #[must_use]
    pub fn fixed(delay: Duration) -> Self {
        Self::new(Sequence::Fixed {
            delay_ms: whole_millis(delay),
        })
    }

    /// n · `interval` after failure n: 20, 40, 60 s at 20 s.
    #[must_use]
    pub fn linear(interval: Duration) -> Self {
        Self::new(Sequence::Linear {
            interval_ms: whole_millis(interval),
            ahead: 0,
        })
    }

    /// (n + 1) · `interval` after failure n, so it starts at twice the interval: 40, 60, 80 s at 20 s.
    #[must_use]
    pub fn linear_from_double(interval: Duration) -> Self {
        Self::new(Sequence::Linear {
            interval_ms: whole_millis(interval),
            ahead: 1,
        })
    }

    /// Twice as long after each failure: 1, 2, 4, 8 s at 1 s.
    #[must_use]
    pub fn doubling(first: Duration) -> Self {
        Self::exponential_unchecked(first, first, 2)
    }

    /// `first` · `factor`ⁿ⁻¹ after failure n: 1, 2, 4, 8 s at 1 s and 2.
    ///
    /// A factor that is no whole number needs [`custom`](Self::custom).
    ///
    /// # Errors
    ///
    /// [`PolicyError::ZeroFactor`] when `factor` is 0.
    pub fn plain_exponential(first: Duration, factor: u32) -> Result<Self, PolicyError> {
        Self::exponential(first, first, factor)
    }

    /// `first` after the first failure, then `base` · `mult`ⁿ⁻¹ after failure n: a quick first retry, then a steep
    /// climb.
    ///
    /// ```
    /// # use retry_core as task_retry;
    /// use std::time::Duration;
    /// use task_retry::policy::Backoff;
    ///
    /// let backoff = Backoff::exponential(Duration::from_secs(5), Duration::from_secs(10), 10)?;
    /// let seconds: Vec<u64> = (1..=5).map(|failures| backoff.delay(failures).as_secs()).collect();
    /// assert_eq!(seconds, [5, 100, 1_000, 10_000, 100_000]);
    /// # Ok::<(), task_retry::policy::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PolicyError::ZeroFactor`] when `mult` is 0.
    pub fn exponential(first: Duration, base: Duration, mult: u32) -> Result<Self, PolicyError> {
        if mult == 0 {
            return Err(PolicyError::ZeroFactor);
        }
        Ok(Self::exponential_unchecked(first, base, mult))
    }

    /// `exponential` for the presets, whose `mult` is a literal above zero.
    pub(super) fn exponential_unchecked(first: Duration, base: Duration, mult: u32) -> Self {
        Self::new(Sequence::Exponential {
            first_ms: whole_millis(first),
            base_ms: whole_millis(base),
            mult,
        })
    }

    /// The nth of `delays` after failure n; the last one repeats.
    ///
    /// # Errors
    ///
    /// [`PolicyError::EmptyList`] when there is no delay.
    pub fn list(delays: impl IntoIterator<Item = Duration>) -> Result<Self, PolicyError> {
        let delays_ms: Arc<[u64]> = delays.into_iter().map(whole_millis).collect();
        let last_ms = *delays_ms.last().ok_or(PolicyError::EmptyList)?;
        Ok(Self::new(Sequence::List { delays_ms, last_ms }))
    }

    /// What `delay` answers for the number of failures so far, 1 or more.
    ///
    /// The function must depend on its argument alone: it is asked again for the same failure, also for earlier ones
    /// (by [`Jitter::Decorrelated`](super::Jitter::Decorrelated)) and for later ones (by timetables). It must not panic.
    #[must_use]
    pub fn custom(delay: impl Fn(u32) -> Duration + Send + Sync + 'static) -> Self {
        Self::new(Sequence::Custom(CustomDelay(Arc::new(delay))))
    }

    /// Bounds every delay of this sequence by `cap`, also those given to the constructor. The last call counts.
    #[must_use]
    pub fn cap(mut self, cap: Duration) -> Self {
        self.cap_ms = whole_millis(cap);
        self
    }

    /// The delay after the given number of failures, capped, without jitter.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        Duration::from_millis(self.delay_ms(failures))
    }

    fn new(sequence: Sequence) -> Self {
        let cap_ms = sequence.longest_given_ms().max(whole_millis(Self::DEFAULT_CAP));
        Self { sequence, cap_ms }
    }

    pub(super) fn delay_ms(&self, failures: u32) -> u64 {
        self.sequence.delay_ms(failures.max(1)).min(self.cap_ms)
    }

    pub(super) const fn cap_ms(&self) -> u64 {
        self.cap_ms
    }
}

impl Sequence {
    /// `failures` is 1 or more.
    fn delay_ms(&self, failures: u32) -> u64 {
        match self {
            Self::Fixed { delay_ms } => *delay_ms,
            Self::Linear { interval_ms, ahead } => interval_ms.saturating_mul(u64::from(failures) + ahead),
            Self::Exponential { first_ms, .. } if failures == 1 => *first_ms,
            Self::Exponential { base_ms, mult, .. } => {
                base_ms.saturating_mul(u64::from(*mult).saturating_pow(failures - 1))
            }
            Self::List { delays_ms, last_ms } => {
                let index = usize::try_from(failures - 1).unwrap_or(usize::MAX);
                delays_ms.get(index).copied().unwrap_or(*last_ms)
            }
            Self::Custom(CustomDelay(delay)) => whole_millis(delay(failures)),
        }
    }

    /// The longest delay that was given as such, which the default cap leaves alone.
    fn longest_given_ms(&self) -> u64 {
        match self {
            Self::Fixed { delay_ms } => *delay_ms,
            Self::Linear { interval_ms, .. } => *interval_ms,
            Self::Exponential {
                first_ms, base_ms, ..
            } => *first_ms.max(base_ms),
            Self::List { delays_ms, last_ms } => delays_ms.iter().copied().max().unwrap_or(*last_ms),
            Self::Custom(_) => 0,
        }
    }
}

/// Milliseconds, a fraction rounded up, at most `u64::MAX`. Rounding down would end a wait before its time.
pub(super) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "backoff_test.rs"]
mod backoff_test;

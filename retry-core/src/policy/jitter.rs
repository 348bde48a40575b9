//! Jitter: spreads the retries of tasks that failed together, computed from a random number that is passed in.

use super::Backoff;

/// How a delay is spread, so that tasks that failed at one instant do not all come back at one instant.
///
/// The shapes and their names are from Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>). With d the capped delay of the
/// [`Backoff`] after this failure:
///
/// | jitter | drawn uniformly from |
/// |---|---|
/// | `None` | exactly d |
/// | `Full` | 0 to d |
/// | `Equal` | d / 2 to d |
/// | `Decorrelated` | the first delay to 3 · the previous delay |
///
/// The range is narrowed to the policy's minimum and the backoff's cap **before** a delay is drawn, where the source
/// draws first and cuts afterwards. A cut would pile up every draw beyond a bound on that bound, and that pile is the
/// herd which jitter exists to avoid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// No spread: exact figures, and a herd when many tasks fail together.
    None,
    /// The widest spread and the least load on what failed; a retry may come at once, or at the policy's minimum.
    Full,
    /// Half of the delay is kept and half is spread: never sooner than half the delay. The default, since a task
    /// that has just failed gains nothing from an immediate retry.
    #[default]
    Equal,
    /// Spreads over up to three times the previous delay, also above this failure's own delay.
    ///
    /// A policy keeps no state, so the previous delay is that of the backoff without jitter (after the first failure,
    /// the first delay), not the one really drawn. The upper end is never below d, so a sequence that grows faster
    /// than threefold keeps its growth, and the lower end is never above it, so a list may go down.
    Decorrelated,
}

impl Jitter {
    /// The lowest and the highest delay after this failure, in milliseconds, before the policy's bounds.
    pub(super) fn range_ms(self, backoff: &Backoff, failures: u32) -> (u64, u64) {
        let delay = backoff.delay_ms(failures);
        match self {
            Self::None => (delay, delay),
            Self::Full => (0, delay),
            // Rounded up, like every wait.
            Self::Equal => (delay.div_ceil(2), delay),
            Self::Decorrelated => {
                let first = backoff.delay_ms(1);
                let previous = backoff.delay_ms(failures.saturating_sub(1));
                (first.min(delay), previous.saturating_mul(3).max(delay))
            }
        }
    }
}

/// A value of `low..=high`, uniform when `random` is; the same for the same arguments.
///
/// The high half of the 128-bit product maps 64 random bits to the range with a bias below one in 2⁶⁴ per value.
pub(super) fn pick(low: u64, high: u64, random: u64) -> u64 {
    let span = u128::from(high.saturating_sub(low)) + 1;
    let offset = (u128::from(scramble(random)) * span) >> 64;
    low.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
}

/// A bijection of 64 bits (the output step of SplitMix64; Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014). It keeps uniform input uniform, and makes counters, ids and other weak input spread too.
const fn scramble(random: u64) -> u64 {
    let mut bits = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
#[path = "jitter_test.rs"]
mod jitter_test;

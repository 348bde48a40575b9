//! Waiting for others' locks: in short naps, up to a limit.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use retry_core::clock::{Clock, Monotonic};

/// A wait with a limit.
///
/// The limit is measured by the clock, because on a busy machine a nap takes much longer than was asked for. Under a clock
/// that stands still, as in tests, the naps count.
#[derive(Debug)]
pub(crate) struct Patience<'c> {
    clock: &'c dyn Clock,
    since: Monotonic,
    napped: Duration,
    limit: Duration,
}

impl<'c> Patience<'c> {
    /// Begins to wait for at most `limit`.
    pub(crate) fn new(clock: &'c dyn Clock, limit: Duration) -> Self {
        Self {
            clock,
            since: clock.monotonic(),
            napped: Duration::ZERO,
            limit,
        }
    }

    /// Takes a nap, unless the limit has come; whether there was still time.
    pub(crate) fn nap(&mut self, span: Duration) -> bool {
        let waited = self.clock.monotonic().saturating_since(self.since);
        if waited.max(self.napped) >= self.limit {
            return false;
        }
        pause(span);
        self.napped = self.napped.saturating_add(span);
        true
    }
}

/// Waits a moment, in real time, not the injected clock's: other processes live in it.
pub(crate) fn pause(span: Duration) {
    let (nothing, nobody) = (Mutex::new(()), Condvar::new());
    let guard = nothing.lock().unwrap_or_else(PoisonError::into_inner);
    // Nobody notifies: the time-out is the pause.
    drop(nobody.wait_timeout(guard, span));
}

#[cfg(test)]
mod tests {
    use retry_core::clock::ManualClock;

    use super::*;

    const NAP: Duration = Duration::from_micros(100);

    #[test]
    fn the_clock_ends_a_wait_however_short_its_naps_were() {
        let clock = ManualClock::new();
        let mut patience = Patience::new(&clock, Duration::from_secs(5));
        assert!(patience.nap(NAP));
        clock.advance(Duration::from_millis(4_999));
        assert!(patience.nap(NAP));
        clock.advance(Duration::from_millis(1));
        assert!(!patience.nap(NAP));
    }

    #[test]
    fn under_a_clock_that_stands_still_the_naps_end_it() {
        let clock = ManualClock::new();
        let mut patience = Patience::new(&clock, 3 * NAP);
        let naps = std::iter::repeat_with(|| patience.nap(NAP)).take_while(|goes_on| *goes_on);
        assert_eq!(naps.count(), 3);
    }
}

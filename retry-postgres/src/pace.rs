//! How often something is done that may be slow: it takes a tenth of the time at most.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::wait;

/// What takes longer is slow.
const SLOW: Duration = Duration::from_millis(250);
/// The pause behind it in times of what it took.
const PAUSE_FACTOR: u32 = 9;

/// The pace of one thing.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How long the last two times took: a single slow one has other causes.
    last: [Duration; 2],
    not_before: Option<Instant>,
}

/// One time that it is done, measured until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pace: &'a Pace,
    begin: Instant,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pace.took(self.begin, wait::now());
    }
}

impl Pace {
    /// Its turn, if it is to be done now.
    pub(crate) fn begin(&self) -> Option<Turn<'_>> {
        let begin = wait::now();
        self.is_due(begin).then_some(Turn { pace: self, begin })
    }

    fn is_due(&self, now: Instant) -> bool {
        self.state().not_before.is_none_or(|instant| instant <= now)
    }

    fn took(&self, begin: Instant, now: Instant) {
        let mut state = self.state();
        state.last = [now.duration_since(begin), state.last[0]];
        let took = state.last[0].min(state.last[1]);
        state.not_before = (took > SLOW).then(|| now + took * PAUSE_FACTOR);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_slow_twice_in_a_row_takes_a_tenth_of_the_time() {
        let (pace, start) = (Pace::default(), wait::now());
        assert!(pace.is_due(start));
        pace.took(start, start + SECOND);
        assert!(pace.is_due(start + SECOND), "once says nothing");
        pace.took(start + SECOND, start + SECOND * 3);
        assert!(!pace.is_due(start + SECOND * 11));
        assert!(pace.is_due(start + SECOND * 12));
        pace.took(start + SECOND * 12, start + SECOND * 12 + SLOW);
        assert!(pace.is_due(start + SECOND * 13), "fast again");
    }
}

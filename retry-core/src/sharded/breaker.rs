//! The circuit breaker of one part: closed, open, half-open. Pure but for its lock: time is an argument.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Monotonic;
use crate::limits::{PART_FAILURES, PART_FIRST_PAUSE, PART_LONGEST_PAUSE};

/// Whether a part of a sharded store is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartState {
    /// It is.
    Closed,
    /// It is not: its last calls failed.
    Open {
        /// After this long one call tries it.
        retry_in: Duration,
    },
    /// One call tries it, or the next one will.
    HalfOpen,
}

#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Failures in a row.
    failures: u32,
    /// Not before then is it called again; none while it is closed.
    until: Option<Monotonic>,
    pause: Duration,
    /// The one call that tries an open part is under way.
    trying: bool,
}

/// The right to one call. Dropped without an outcome it leaves the breaker as it was.
#[derive(Debug)]
pub(super) struct Pass<'b> {
    breaker: &'b Breaker,
    /// It is the call that tries an open part.
    tries: bool,
}

/// What an outcome changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    None,
    Opened,
    Closed,
}

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call through, or not.
    pub(super) fn pass(&self, now: Monotonic) -> Option<Pass<'_>> {
        let mut state = self.state();
        let tries = match state.until {
            None => false,
            Some(until) if until <= now && !state.trying => {
                state.trying = true;
                true
            }
            Some(_) => return None,
        };
        Some(Pass { breaker: self, tries })
    }

    pub(super) fn look(&self, now: Monotonic) -> (PartState, u32) {
        let state = self.state();
        let shown = match state.until {
            None => PartState::Closed,
            Some(until) if until <= now => PartState::HalfOpen,
            Some(until) => PartState::Open {
                retry_in: until.saturating_since(now),
            },
        };
        (shown, state.failures)
    }
}

impl Pass<'_> {
    /// Whether it is the call that tries an open part.
    pub(super) const fn tries(&self) -> bool {
        self.tries
    }

    /// The part answered, whatever it said.
    pub(super) fn answered(self) -> Turn {
        let mut state = self.breaker.state();
        let was_open = state.until.is_some();
        *state = State {
            trying: state.trying && !self.tries,
            ..State::default()
        };
        if was_open { Turn::Closed } else { Turn::None }
    }

    /// It did not.
    pub(super) fn failed(self, now: Monotonic) -> Turn {
        let mut state = self.breaker.state();
        state.failures = state.failures.saturating_add(1);
        match state.until {
            None if state.failures >= PART_FAILURES => {
                state.pause = PART_FIRST_PAUSE;
                state.until = Some(now + state.pause);
                Turn::Opened
            }
            Some(_) if self.tries => {
                state.pause = (state.pause * 2).min(PART_LONGEST_PAUSE);
                state.until = Some(now + state.pause);
                Turn::None
            }
            // One that was sent before it opened tells nothing new.
            _ => Turn::None,
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.tries {
            self.breaker.state().trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    fn fail(breaker: &Breaker, millis: u64) -> Turn {
        breaker.pass(at(millis)).expect("it is closed").failed(at(millis))
    }

    fn opened() -> Breaker {
        let breaker = Breaker::default();
        for _ in 1..PART_FAILURES {
            assert_eq!(fail(&breaker, 0), Turn::None);
        }
        assert_eq!(fail(&breaker, 0), Turn::Opened);
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 1..PART_FAILURES {
                fail(&breaker, 0);
            }
            assert_eq!(breaker.pass(at(0)).unwrap().answered(), Turn::None);
        }
        assert_eq!(breaker.look(at(0)), (PartState::Closed, 0));
        let breaker = opened();
        assert!(breaker.pass(at(0)).is_none());
        let retry_in = PART_FIRST_PAUSE;
        assert_eq!(breaker.look(at(0)), (PartState::Open { retry_in }, PART_FAILURES));
    }

    #[test]
    fn one_call_tries_an_open_part_and_its_success_closes_it() {
        let breaker = opened();
        assert!(breaker.pass(at(999)).is_none());
        let tries = breaker.pass(at(1_000)).unwrap();
        assert_eq!(breaker.look(at(1_000)).0, PartState::HalfOpen);
        assert!(breaker.pass(at(1_000)).is_none(), "one at a time");
        drop(tries);
        let again = breaker.pass(at(1_000)).expect("the first was given up");
        assert_eq!(again.answered(), Turn::Closed);
        assert!(breaker.pass(at(1_000)).is_some());
        assert_eq!(breaker.look(at(1_000)), (PartState::Closed, 0));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (breaker, mut now) = (opened(), 0);
        for seconds in [1, 2, 4, 8, 15, 15] {
            now += seconds * 1_000;
            assert!(breaker.pass(at(now - 1)).is_none(), "after {seconds} s");
            assert_eq!(breaker.pass(at(now)).unwrap().failed(at(now)), Turn::None);
        }
    }

    #[test]
    fn calls_from_before_it_opened_do_not_put_the_try_off() {
        let breaker = Breaker::default();
        let old: Vec<Pass<'_>> = (0..10).map(|_| breaker.pass(at(0)).unwrap()).collect();
        for pass in old {
            pass.failed(at(500));
        }
        assert!(breaker.pass(at(1_499)).is_none());
        assert!(breaker.pass(at(1_500)).is_some());
    }
}

//! Since when the store has answered every call. After an outage every lease looks ended, until the owners have had a
//! beat; so a rescuer marks none before the store has answered for a while.

use std::sync::Mutex;
use std::time::Duration;

use super::part::lock;
use crate::clock::Monotonic;

#[derive(Debug)]
pub(super) struct Health {
    /// The longest silence between two answers of a store that is well.
    longest_silence: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ok_since: Option<Monotonic>,
    last_answer: Monotonic,
    failures: u64,
    suspended_until: Monotonic,
}

impl Health {
    pub(super) fn new(longest_silence: Duration) -> Self {
        Self {
            longest_silence,
            state: Mutex::default(),
        }
    }

    /// Notes an answer. One that comes after a long silence ends an outage: the store hung, or this process stood still.
    pub(super) fn answered(&self, now: Monotonic) {
        let mut state = lock(&self.state);
        if now.saturating_since(state.last_answer) > self.longest_silence {
            state.ok_since = None;
        }
        state.last_answer = now;
        state.ok_since.get_or_insert(now);
    }

    pub(super) fn failed(&self) {
        let mut state = lock(&self.state);
        state.ok_since = None;
        state.failures += 1;
    }

    /// How often the store failed.
    pub(super) fn failures(&self) -> u64 {
        lock(&self.state).failures
    }

    /// Leases are not judged before `until`.
    pub(super) fn suspend(&self, until: Monotonic) {
        lock(&self.state).suspended_until = until;
    }

    /// Whether the store has answered for `span`, up to now.
    pub(super) fn is_good_for(&self, span: Duration, now: Monotonic) -> bool {
        let state = lock(&self.state);
        let steady = state
            .ok_since
            .is_some_and(|since| now.saturating_since(since) >= span);
        let heard = now.saturating_since(state.last_answer) <= self.longest_silence;
        steady && heard && now >= state.suspended_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_failure_a_silence_and_a_suspension_start_the_count_anew() {
        let (span, health) = (Duration::from_secs(3), Health::new(Duration::from_secs(2)));
        let answers = |from: u64, to: u64| (from..=to).for_each(|second| health.answered(at(second)));
        answers(0, 2);
        assert!(!health.is_good_for(span, at(2)));
        answers(3, 3);
        assert!(health.is_good_for(span, at(3)));
        health.failed();
        answers(4, 6);
        assert!(!health.is_good_for(span, at(6)));
        answers(7, 7);
        assert!(health.is_good_for(span, at(7)));
        assert!(!health.is_good_for(span, at(10)), "silent for three seconds");
        answers(10, 12);
        assert!(!health.is_good_for(span, at(12)));
        answers(13, 13);
        assert!(health.is_good_for(span, at(13)));
        health.suspend(at(20));
        answers(14, 20);
        assert!(!health.is_good_for(span, at(19)));
        assert!(health.is_good_for(span, at(20)));
    }
}

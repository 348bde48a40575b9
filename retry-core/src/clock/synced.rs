//! The store's time, kept between synchronisations by the local monotonic clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Clock, Monotonic, Sleep};
use crate::time::Timestamp;

/// A clock that shows the store's time: what the store said at the last sync, plus the monotonic time since.
///
/// The store's reading is assumed to be of the middle of the round trip (Cristian's algorithm), so its error is at most half
/// the delay: callers do not record slow round trips. Readings never step back; until the first sync the local clock is
/// shown.
#[derive(Debug)]
pub struct SyncedClock {
    local: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sample: Option<Sample>,
    last: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    store: Timestamp,
    at: Monotonic,
}

impl SyncedClock {
    /// How often the clock is to be synchronised again.
    pub const INTERVAL: Duration = Duration::from_secs(10);

    /// A clock not yet synchronised.
    #[must_use]
    pub fn new(local: Arc<dyn Clock>) -> Self {
        Self {
            local,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the last sync is older than [`INTERVAL`](Self::INTERVAL), or there was none.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.is_older_than(Self::INTERVAL)
    }

    /// Whether the last sync is at least as old as `age`, or there was none.
    #[must_use]
    pub fn is_older_than(&self, age: Duration) -> bool {
        let sample = self.state().sample;
        sample.is_none_or(|sample| self.local.monotonic().saturating_since(sample.at) >= age)
    }

    /// Whether it was synchronised at least once.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.state().sample.is_some()
    }

    /// Takes the store's reading of a round trip that was sent at `sent` and answered at `received`. Answers by how
    /// much the shown time steps.
    pub fn record(&self, store: Timestamp, sent: Monotonic, received: Monotonic) -> Duration {
        let middle = sent + received.saturating_since(sent) / 2;
        let mut state = self.state();
        let shown = state
            .sample
            .map(|old| old.store.saturating_add(middle.saturating_since(old.at)));
        state.sample = Some(Sample { store, at: middle });
        shown.map_or(Duration::ZERO, |shown| {
            shown.saturating_since(store).max(store.saturating_since(shown))
        })
    }
}

impl Clock for SyncedClock {
    fn now(&self) -> Timestamp {
        let mut state = self.state();
        let now = match state.sample {
            Some(sample) => sample
                .store
                .saturating_add(self.local.monotonic().saturating_since(sample.at)),
            None => return self.local.now(),
        };
        let now = state.last.map_or(now, |last| now.max(last));
        state.last = Some(now);
        now
    }

    fn monotonic(&self) -> Monotonic {
        self.local.monotonic()
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        self.local.sleep_until(deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn it_shows_the_stores_time_and_never_steps_back() {
        let local = ManualClock::new();
        let clock = SyncedClock::new(Arc::new(local.clone()));
        assert_eq!(clock.now(), local.now());
        let sent = local.monotonic();
        local.advance(Duration::from_millis(10));
        let step = clock.record(Timestamp::from_millis(5_000), sent, local.monotonic());
        assert_eq!(step, Duration::ZERO);
        assert_eq!(clock.now(), Timestamp::from_millis(5_005));
        local.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), Timestamp::from_millis(6_005));
        let step = clock.record(
            Timestamp::from_millis(5_500),
            local.monotonic(),
            local.monotonic(),
        );
        assert_eq!(step, Duration::from_millis(505));
        assert_eq!(
            clock.now(),
            Timestamp::from_millis(6_005),
            "held until the store catches up"
        );
        local.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), Timestamp::from_millis(6_500));
        assert!(!clock.is_due());
        local.advance(SyncedClock::INTERVAL);
        assert!(clock.is_due());
    }
}

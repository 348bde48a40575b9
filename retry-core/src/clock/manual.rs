//! A clock that stands still until it is told to move, for tests and simulations.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Clock, Monotonic, Sleep};
use crate::time::Timestamp;

/// A clock moved by hand. Clones and views share its time; [`advance`](Self::advance) wakes sleepers in the order of
/// their deadlines. Each view may show a skewed time of day, as the workers of a fleet do.
///
/// It starts at a constant, so that no test depends on the day it runs.
///
/// ```
/// # use retry_core as task_retry;
/// use task_retry::clock::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now().saturating_since(before), Duration::from_secs(5));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    shared: Arc<Mutex<Shared>>,
    /// Milliseconds that this view's time of day is ahead; shared by clones of the view.
    skew: Arc<Mutex<i64>>,
}

#[derive(Debug)]
struct Shared {
    elapsed: Duration,
    next: u64,
    sleepers: BinaryHeap<Reverse<Sleeper>>,
}

#[derive(Debug)]
struct Sleeper {
    deadline: Monotonic,
    order: u64,
    wake: oneshot::Sender<()>,
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Sleeper {}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.deadline, self.order).cmp(&(other.deadline, other.order))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ManualClock {
    /// Where every manual clock starts: 2001-09-09T01:46:40Z.
    pub const START: Timestamp = Timestamp::from_millis(1_000_000_000_000);

    /// A clock at [`START`](Self::START).
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            elapsed: Duration::ZERO,
            next: 0,
            sleepers: BinaryHeap::new(),
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            skew: Arc::new(Mutex::new(0)),
        }
    }

    /// A view of the same clock whose time of day is `millis` ahead (negative: behind).
    #[must_use]
    pub fn skewed(&self, millis: i64) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            skew: Arc::new(Mutex::new(millis)),
        }
    }

    /// Steps this view's time of day to be `millis` ahead; its monotonic time goes on.
    pub fn set_skew(&self, millis: i64) {
        *lock(&self.skew) = millis;
    }

    /// Moves all views on and wakes the sleepers whose time has come, earliest deadline first.
    pub fn advance(&self, by: Duration) {
        let mut due = Vec::new();
        {
            let mut shared = lock(&self.shared);
            shared.elapsed += by;
            let now = Monotonic::from_start(shared.elapsed);
            while shared
                .sleepers
                .peek()
                .is_some_and(|Reverse(sleeper)| sleeper.deadline <= now)
            {
                due.extend(shared.sleepers.pop().map(|Reverse(sleeper)| sleeper.wake));
            }
        }
        for wake in due {
            // A sleeper that was dropped needs no waking.
            let _ = wake.send(());
        }
    }

    /// The deadline of the next sleeper, if any sleeps: how far a simulation may jump.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let mut shared = lock(&self.shared);
        while shared
            .sleepers
            .peek()
            .is_some_and(|Reverse(sleeper)| sleeper.wake.is_closed())
        {
            shared.sleepers.pop();
        }
        shared.sleepers.peek().map(|Reverse(sleeper)| sleeper.deadline)
    }

    /// Advances to the next sleeper's deadline and wakes it; false when nobody sleeps.
    pub fn advance_to_next(&self) -> bool {
        let Some(deadline) = self.next_deadline() else {
            return false;
        };
        self.advance(deadline.saturating_since(self.monotonic()));
        true
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let skew = *lock(&self.skew);
        let now = Self::START.saturating_add(lock(&self.shared).elapsed);
        Timestamp::from_millis(now.as_millis().saturating_add(skew))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(lock(&self.shared).elapsed)
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        let mut shared = lock(&self.shared);
        if deadline == Monotonic::NEVER {
            return Box::pin(std::future::pending());
        }
        if deadline <= Monotonic::from_start(shared.elapsed) {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        let order = shared.next;
        shared.next += 1;
        shared.sleepers.push(Reverse(Sleeper {
            deadline,
            order,
            wake,
        }));
        let clock = Arc::clone(&self.shared);
        Box::pin(async move {
            // The sender lives in the clock, which this future keeps alive.
            let _ = woken.await;
            drop(clock);
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn sleepers_wake_when_their_time_has_come() {
        let clock = ManualClock::new();
        let mut late = clock.sleep_until(at(2));
        let mut soon = clock.skewed(5_000).sleep_until(at(1));
        assert!(clock.sleep_until(at(0)).now_or_never().is_some());
        assert_eq!(clock.next_deadline(), Some(at(1)));
        clock.advance(Duration::from_secs(1));
        assert!((&mut soon).now_or_never().is_some());
        assert!((&mut late).now_or_never().is_none());
        assert!(clock.advance_to_next());
        assert!(late.now_or_never().is_some());
        assert!(!clock.advance_to_next());
    }

    #[test]
    fn dropped_sleepers_are_forgotten() {
        let clock = ManualClock::new();
        drop(clock.sleep_until(at(1)));
        assert_eq!(clock.next_deadline(), None);
    }

    #[test]
    fn views_share_monotonic_time_and_differ_in_the_time_of_day() {
        let clock = ManualClock::new();
        let view = clock.skewed(-3_000);
        clock.advance(Duration::from_secs(4));
        assert_eq!(view.monotonic(), clock.monotonic());
        assert_eq!(clock.now().saturating_since(view.now()), Duration::from_secs(3));
        view.set_skew(0);
        assert_eq!(view.now(), clock.now());
    }
}

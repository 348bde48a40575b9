//! The real clock: the only place that reads the machine's time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Clock, Monotonic, Sleep};
use crate::time::Timestamp;

/// The machine's clock. Sleeping needs a running tokio runtime with its time driver enabled.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// The machine's clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads real time")]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads real time")]
    fn now(&self) -> Timestamp {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp::from_millis(millis(after)),
            Err(before) => Timestamp::from_millis(-millis(before.duration())),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads real time")]
    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(self.start.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps in real time")]
    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        match self.start.checked_add(deadline.since_start()) {
            Some(at) => Box::pin(tokio::time::sleep_until(at.into())),
            None => Box::pin(std::future::pending()),
        }
    }
}

//! The kit's clock: moved by the kit, and it knows whether somebody waited for it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use crate::clock::{Clock, ManualClock, Monotonic, Sleep};
use crate::time::Timestamp;

/// A view of the manual clock that counts the polls that found it too early. A handler that waits for the clock waits for the
/// kit; one that waits without such a poll waits for something outside.
#[derive(Clone)]
pub(super) struct KitClock {
    pub(super) manual: ManualClock,
    waits: Arc<AtomicU64>,
}

impl fmt::Debug for KitClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KitClock({:?})", self.manual.now())
    }
}

impl KitClock {
    pub(super) fn new() -> Self {
        Self {
            manual: ManualClock::new(),
            waits: Arc::default(),
        }
    }

    /// How many polls of sleeps found them unfinished so far.
    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Ordering::Acquire)
    }
}

impl Clock for KitClock {
    fn now(&self) -> Timestamp {
        self.manual.now()
    }

    fn monotonic(&self) -> Monotonic {
        self.manual.monotonic()
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        let mut sleep = self.manual.sleep_until(deadline);
        let waits = Arc::clone(&self.waits);
        Box::pin(std::future::poll_fn(move |context| {
            let polled = sleep.as_mut().poll(context);
            if polled == Poll::Pending {
                waits.fetch_add(1, Ordering::AcqRel);
            }
            polled
        }))
    }
}

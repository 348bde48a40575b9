//! Real time: the machine's clock, shared by name.

use std::time::Duration;

use retry_core::clock::{Clock as _, SystemClock};

/// A stopwatch that can wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch(SystemClock);

impl Watch {
    pub(crate) fn start() -> Self {
        Self::default()
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.monotonic().since_start()
    }

    /// The time of day in milliseconds: what the log and the store speak of.
    pub(crate) fn now(&self) -> i64 {
        self.0.now().as_millis()
    }

    /// Waits.
    pub(crate) async fn pause(&self, span: Duration) {
        self.0.sleep_until(self.0.monotonic() + span).await;
    }
}

//! The one place of this tool that reads real time and waits for it to pass.

use std::thread;
use std::time::{Duration, Instant};

/// Measures how long something took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "the gate measures its own steps in real time"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the gate measures its own steps in real time"
    )]
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Waits a moment between two looks at a running process.
#[expect(
    clippy::disallowed_methods,
    reason = "the standard library cannot wait for a process with a limit"
)]
pub(crate) fn nap() {
    thread::sleep(Duration::from_millis(20));
}

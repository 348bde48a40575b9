//! The one place of the benchmarks that reads real time and waits for it to pass.

use std::time::{Duration, Instant};

/// Measures how long something took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// The time from `earlier`'s start to this one's.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.duration_since(earlier.0)
    }

    /// How many of `n` things a second, since the start.
    pub(crate) fn rate(self, n: usize) -> f64 {
        crate::stats::ratio(n, 1) / self.elapsed().as_secs_f64()
    }
}

/// Lets a worker become idle before the next latency is measured.
#[expect(clippy::disallowed_methods, reason = "an idle worker is idle in real time")]
pub(crate) async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}

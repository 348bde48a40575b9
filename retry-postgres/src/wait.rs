//! The one place in this crate that waits for time: limits of calls, and pauses between tries.

use std::time::{Duration, Instant};

/// The time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// Waits for a future, at most for `limit`.
#[expect(
    clippy::disallowed_methods,
    reason = "a server that does not answer is noticed by real time only; no decision about a task depends on it"
)]
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    tokio::time::timeout(limit, future).await.map_err(|_| Elapsed)
}

/// What time it is, to measure how long something takes.
#[expect(
    clippy::disallowed_methods,
    reason = "how slow a real server is shows in real time only; no decision about a task depends on it"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits for `span`.
#[expect(
    clippy::disallowed_methods,
    reason = "real servers need real pauses; no decision about a task depends on them"
)]
pub(crate) async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}

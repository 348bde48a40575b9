//! Which due tasks a worker looks at: a window over their due times.

use std::time::Duration;

use crate::store::ClaimRequest;
use crate::time::Timestamp;

/// A window over due times. The default has no bounds: oldest due first, without a horizon.
///
/// What lies outside stays pending: tasks older than the window are never run by a worker that has one.
///
/// ```
/// # use retry_core as task_retry;
/// use std::time::Duration;
/// use task_retry::engine::ScanWindow;
///
/// // What became due in the last hour, as systems that scan a table by time do.
/// let window = ScanWindow::new().max_age(Duration::from_secs(3_600));
/// assert_ne!(window, ScanWindow::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct ScanWindow {
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    max_age: Option<Duration>,
    min_age: Option<Duration>,
}

impl ScanWindow {
    /// No bounds.
    pub const fn new() -> Self {
        Self {
            not_before: None,
            not_after: None,
            max_age: None,
            min_age: None,
        }
    }

    /// Only tasks due at this time or later.
    pub const fn not_before(mut self, at: Timestamp) -> Self {
        self.not_before = Some(at);
        self
    }

    /// Only tasks due at this time or earlier.
    pub const fn not_after(mut self, at: Timestamp) -> Self {
        self.not_after = Some(at);
        self
    }

    /// Only tasks that became due this long ago or later, counted back from each claim.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Only tasks that became due this long ago or earlier, counted back from each claim.
    pub const fn min_age(mut self, age: Duration) -> Self {
        self.min_age = Some(age);
        self
    }

    /// Whether no time lies in it, whenever it is asked.
    pub(super) fn is_empty(&self) -> bool {
        let crossed =
            |low: Option<_>, high: Option<_>| matches!((low, high), (Some(low), Some(high)) if low > high);
        crossed(self.not_before, self.not_after)
            || matches!((self.min_age, self.max_age), (Some(min), Some(max)) if min > max)
    }

    /// The window of a tick inside the window of its worker.
    pub(super) fn within(self, outer: Self) -> Self {
        Self {
            not_before: self.not_before.max(outer.not_before),
            not_after: earlier(self.not_after, outer.not_after),
            max_age: earlier(self.max_age, outer.max_age),
            min_age: self.min_age.max(outer.min_age),
        }
    }

    /// Puts the bounds at `now` into a claim.
    pub(super) fn bound(&self, request: &mut ClaimRequest, now: Timestamp) {
        let aged = |age: Duration| now.saturating_sub(age);
        request.not_before = self.not_before.max(self.max_age.map(aged));
        request.not_after = earlier(self.not_after, self.min_age.map(aged));
    }
}

/// The earlier of two bounds, where none is no bound.
fn earlier<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;
    use crate::name::Queue;

    const SECOND: Duration = Duration::from_secs(1);

    fn bounds(window: ScanWindow, now: i64) -> (Option<i64>, Option<i64>) {
        let mut request = ClaimRequest::new(SessionId::from_random(1, 1), Queue::default(), [], 1);
        window.bound(&mut request, Timestamp::from_millis(now));
        let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
        (millis(request.not_before), millis(request.not_after))
    }

    #[test]
    fn the_tighter_bound_counts() {
        let at = Timestamp::from_millis;
        assert_eq!(bounds(ScanWindow::new(), 9_000), (None, None));
        let aged = ScanWindow::new().max_age(SECOND * 5).min_age(SECOND);
        assert_eq!(bounds(aged, 9_000), (Some(4_000), Some(8_000)));
        assert_eq!(
            bounds(aged.not_before(at(6_000)).not_after(at(7_000)), 9_000),
            (Some(6_000), Some(7_000))
        );
        assert_eq!(
            bounds(aged.not_before(at(1)).not_after(at(8_500)), 9_000),
            (Some(4_000), Some(8_000))
        );
        let inner = ScanWindow::new()
            .not_before(at(5_000))
            .max_age(SECOND * 9)
            .within(aged);
        assert_eq!(inner, aged.not_before(at(5_000)));
    }

    #[test]
    fn a_window_without_a_time_is_seen() {
        let at = Timestamp::from_millis;
        assert!(!ScanWindow::new().is_empty());
        assert!(!ScanWindow::new().not_before(at(1)).not_after(at(1)).is_empty());
        assert!(ScanWindow::new().not_before(at(2)).not_after(at(1)).is_empty());
        assert!(ScanWindow::new().min_age(SECOND * 2).max_age(SECOND).is_empty());
    }
}

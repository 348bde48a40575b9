//! How a worker raises and delivers alerts.

use std::time::Duration;

use crate::limits::DEFAULT_ALERT_QUEUE;

/// How long alerts of failed attempts are held back after one like them: a broken dependency fails every task of a kind,
/// and one message a minute says so.
const DEFAULT_COOL_DOWN: Duration = Duration::from_mins(1);
/// How long a sink may take for one alert.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the worker looks for tasks that do not start or do not end.
const DEFAULT_CHECK_INTERVAL: Duration = Duration::from_secs(75);
/// How long a due task may wait: far longer than claims, retries of the store and a rescue take.
const DEFAULT_NOT_STARTED_AFTER: Duration = Duration::from_mins(5);
/// How long an attempt may run: longer than most time-outs.
const DEFAULT_RUNNING_AFTER: Duration = Duration::from_mins(30);

/// What the cool-down of failed attempts tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CoolDownBy {
    /// Rule and kind.
    #[default]
    Kind,
    /// Rule, kind and task.
    Task,
}

/// How a worker raises and delivers alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct AlertOptions {
    pub(crate) cool_down: Duration,
    pub(crate) by: CoolDownBy,
    pub(crate) queue: usize,
    pub(crate) timeout: Duration,
    pub(crate) check_interval: Duration,
    pub(crate) not_started_after: Option<Duration>,
    pub(crate) running_after: Option<Duration>,
}

impl Default for AlertOptions {
    fn default() -> Self {
        Self {
            cool_down: DEFAULT_COOL_DOWN,
            by: CoolDownBy::default(),
            queue: DEFAULT_ALERT_QUEUE,
            timeout: DEFAULT_TIMEOUT,
            check_interval: DEFAULT_CHECK_INTERVAL,
            not_started_after: Some(DEFAULT_NOT_STARTED_AFTER),
            running_after: Some(DEFAULT_RUNNING_AFTER),
        }
    }
}

impl AlertOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long alerts of failed attempts and lost leases are held back after one like them, and counted in the next; one
    /// minute unless told otherwise, zero tells each. Dead letters are never held back.
    pub const fn cool_down(mut self, span: Duration) -> Self {
        self.cool_down = span;
        self
    }

    /// What the cool-down tells apart; rule and kind unless told otherwise.
    pub const fn cool_down_by(mut self, by: CoolDownBy) -> Self {
        self.by = by;
        self
    }

    /// How many alerts may wait for each sink; 1,000 unless told otherwise. Further ones are dropped and counted; a dead
    /// letter takes the place of one that tells of something else.
    pub const fn queue(mut self, alerts: usize) -> Self {
        self.queue = alerts;
        self
    }

    /// How long a sink may take for one alert; 10 s unless told otherwise.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often the worker looks for tasks that do not start or do not end; 75 s unless told otherwise. What one look
    /// finds is told when the next one finds it again, so that automatic recovery has had its chance, and once.
    pub const fn check_interval(mut self, interval: Duration) -> Self {
        self.check_interval = interval;
        self
    }

    /// How long the oldest due task of a queue and kind may wait; 5 minutes unless told otherwise, `None` for ever. Paused
    /// queues may wait.
    pub fn not_started_after(mut self, span: impl Into<Option<Duration>>) -> Self {
        self.not_started_after = span.into();
        self
    }

    /// How long an attempt of this worker may run; 30 minutes unless told otherwise, `None` for ever.
    pub fn running_after(mut self, span: impl Into<Option<Duration>>) -> Self {
        self.running_after = span.into();
        self
    }
}

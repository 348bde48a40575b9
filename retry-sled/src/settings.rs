//! A task's own rules as they are kept: nothing for the usual ones, which most tasks have.

use std::time::Duration;

use retry_core::task::{FailedChildren, OnWaitDeadline, Retention, Settings};
use retry_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Seconds and nanoseconds.
type Span = (u64, u32);

/// The stored form.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredSettings {
    max_attempts: Option<u32>,
    give_up_at: Option<i64>,
    give_up_after: Option<Span>,
    rescue_delay: Span,
    crash_budget: Option<u32>,
    expires_at: Option<i64>,
    expires_after: Option<Span>,
    deadline_after: Option<Span>,
    fails_at_wait_deadline: bool,
    on_failed_children: u8,
    /// After success, failure, a cancel.
    retention: [Option<Span>; 3],
}

/// The settings for which rows have nothing. They belong to the format: they stay when the defaults change.
pub(crate) fn usual() -> Settings {
    Settings {
        max_attempts: Some(100),
        give_up_at: None,
        give_up_after: None,
        rescue_delay: Duration::from_secs(5),
        crash_budget: Some(3),
        expires_at: None,
        expires_after: None,
        deadline_after: None,
        on_wait_deadline: OnWaitDeadline::Resume,
        on_failed_children: FailedChildren::Reduce,
        retention: Retention {
            succeeded: Some(Duration::from_hours(24)),
            failed: Some(Duration::from_hours(30 * 24)),
            cancelled: Some(Duration::from_hours(24)),
        },
    }
}

fn span(duration: Duration) -> Span {
    (duration.as_secs(), duration.subsec_nanos())
}

/// None: more nanoseconds than a second has, which no version writes and which might overflow.
fn duration((seconds, nanos): Span) -> Option<Duration> {
    (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
}

/// None: damaged.
#[expect(clippy::option_option, reason = "a damaged span is not an absent one")]
fn opt_duration(span: Option<Span>) -> Option<Option<Duration>> {
    match span {
        None => Some(None),
        Some(span) => duration(span).map(Some),
    }
}

impl StoredSettings {
    /// The stored form; none for the usual ones.
    pub(crate) fn unless_usual(settings: &Settings) -> Option<Self> {
        (*settings != usual()).then(|| Self::of(settings))
    }

    fn of(settings: &Settings) -> Self {
        let Settings {
            max_attempts,
            give_up_at,
            give_up_after,
            rescue_delay,
            crash_budget,
            expires_at,
            expires_after,
            deadline_after,
            on_wait_deadline,
            on_failed_children,
            retention,
        } = settings;
        Self {
            max_attempts: *max_attempts,
            give_up_at: give_up_at.map(Timestamp::as_millis),
            give_up_after: give_up_after.map(span),
            rescue_delay: span(*rescue_delay),
            crash_budget: *crash_budget,
            expires_at: expires_at.map(Timestamp::as_millis),
            expires_after: expires_after.map(span),
            deadline_after: deadline_after.map(span),
            fails_at_wait_deadline: *on_wait_deadline == OnWaitDeadline::Fail,
            on_failed_children: match on_failed_children {
                FailedChildren::Reduce => 0,
                FailedChildren::Fail => 1,
                FailedChildren::Hold => 2,
            },
            retention: [retention.succeeded, retention.failed, retention.cancelled]
                .map(|kept| kept.map(span)),
        }
    }

    /// The settings; none when they are damaged.
    pub(crate) fn settings(self) -> Option<Settings> {
        let [succeeded, failed, cancelled] = self.retention;
        Some(Settings {
            max_attempts: self.max_attempts,
            give_up_at: self.give_up_at.map(Timestamp::from_millis),
            give_up_after: opt_duration(self.give_up_after)?,
            rescue_delay: duration(self.rescue_delay)?,
            crash_budget: self.crash_budget,
            expires_at: self.expires_at.map(Timestamp::from_millis),
            expires_after: opt_duration(self.expires_after)?,
            deadline_after: opt_duration(self.deadline_after)?,
            on_wait_deadline: if self.fails_at_wait_deadline {
                OnWaitDeadline::Fail
            } else {
                OnWaitDeadline::Resume
            },
            on_failed_children: match self.on_failed_children {
                0 => FailedChildren::Reduce,
                1 => FailedChildren::Fail,
                2 => FailedChildren::Hold,
                _ => return None,
            },
            retention: Retention {
                succeeded: opt_duration(succeeded)?,
                failed: opt_duration(failed)?,
                cancelled: opt_duration(cancelled)?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_exactly() {
        let unusual = Settings {
            max_attempts: None,
            give_up_at: Some(Timestamp::MAX),
            give_up_after: Some(Duration::MAX),
            rescue_delay: Duration::new(1, 1),
            crash_budget: None,
            expires_at: Some(Timestamp::MIN),
            expires_after: Some(Duration::ZERO),
            deadline_after: Some(Duration::MAX),
            on_wait_deadline: OnWaitDeadline::Fail,
            on_failed_children: FailedChildren::Hold,
            retention: Retention {
                succeeded: None,
                failed: Some(Duration::ZERO),
                cancelled: Some(Duration::from_millis(7)),
            },
        };
        assert!(StoredSettings::unless_usual(&usual()).is_none());
        let stored = StoredSettings::unless_usual(&unusual).unwrap();
        assert_eq!(stored.settings(), Some(unusual));
    }

    #[test]
    fn the_usual_settings_are_the_default_ones() {
        // When this fails, the default has changed: `usual` must stay, and rows with the new default carry it.
        assert_eq!(usual(), Settings::default());
    }

    #[test]
    fn damaged_settings_are_none() {
        let settings = StoredSettings {
            rescue_delay: (u64::MAX, u32::MAX),
            ..StoredSettings::of(&usual())
        };
        assert_eq!(settings.settings(), None);
        let settings = StoredSettings {
            on_failed_children: 3,
            ..StoredSettings::of(&usual())
        };
        assert_eq!(settings.settings(), None);
    }
}

//! A task's own rules as the text in which stores may keep them: short, because every task carries them, and exact.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{FailedChildren, OnWaitDeadline, Retention, Settings};
use crate::time::Timestamp;

/// The stored form. What is absent has the value that its type's default names; unknown fields are passed over.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    rescue: Span,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crashes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    give_up_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    give_up_after: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_after: Option<Span>,
    #[serde(default, skip_serializing_if = "is_default")]
    on_wait: OnWaitDeadline,
    #[serde(default, skip_serializing_if = "is_default")]
    on_children: FailedChildren,
    /// After success, failure, a cancel.
    keep: [Option<Span>; 3],
}

/// A duration: whole milliseconds where that is exact, else seconds and nanoseconds.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Span {
    Millis(u64),
    Exact(u64, u32),
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        match u64::try_from(duration.as_millis()) {
            Ok(millis) if duration == Duration::from_millis(millis) => Self::Millis(millis),
            _ => Self::Exact(duration.as_secs(), duration.subsec_nanos()),
        }
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        match span {
            Span::Millis(millis) => Self::from_millis(millis),
            // A damaged second part must not overflow into a panic.
            Span::Exact(secs, nanos) => Self::new(secs, nanos % 1_000_000_000),
        }
    }
}

impl Settings {
    /// The text for which rows may have nothing: most tasks have these settings, and need no room for them. It belongs to
    /// stored rows: it stays as it is when the default settings change.
    pub const USUAL_STORED: &str =
        r#"{"attempts":100,"rescue":5000,"crashes":3,"keep":[86400000,2592000000,86400000]}"#;

    /// The JSON text in which stores may keep them.
    #[must_use]
    pub fn to_stored(&self) -> String {
        let Self {
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
        } = self;
        let stored = Stored {
            attempts: *max_attempts,
            rescue: Span::from(*rescue_delay),
            crashes: *crash_budget,
            deadline: deadline_after.map(Span::from),
            give_up_at: *give_up_at,
            give_up_after: give_up_after.map(Span::from),
            expires_at: *expires_at,
            expires_after: expires_after.map(Span::from),
            on_wait: *on_wait_deadline,
            on_children: *on_failed_children,
            keep: [retention.succeeded, retention.failed, retention.cancelled]
                .map(|kept| kept.map(Span::from)),
        };
        // Numbers and names of variants always serialize.
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Reads the stored text back.
    ///
    /// # Errors
    /// The text is damaged.
    pub fn from_stored(text: &str) -> Result<Self, serde_json::Error> {
        let stored: Stored = serde_json::from_str(text)?;
        let [succeeded, failed, cancelled] = stored.keep.map(|kept| kept.map(Duration::from));
        Ok(Self {
            max_attempts: stored.attempts,
            give_up_at: stored.give_up_at,
            give_up_after: stored.give_up_after.map(Duration::from),
            rescue_delay: Duration::from(stored.rescue),
            crash_budget: stored.crashes,
            expires_at: stored.expires_at,
            expires_after: stored.expires_after.map(Duration::from),
            deadline_after: stored.deadline.map(Duration::from),
            on_wait_deadline: stored.on_wait,
            on_failed_children: stored.on_children,
            retention: Retention {
                succeeded,
                failed,
                cancelled,
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
        for settings in [Settings::default(), unusual] {
            assert_eq!(Settings::from_stored(&settings.to_stored()).unwrap(), settings);
        }
    }

    #[test]
    fn the_usual_settings_are_the_default_ones() {
        // When this fails, the default has changed: USUAL_STORED must stay, and rows with the new default carry it.
        assert_eq!(Settings::default().to_stored(), Settings::USUAL_STORED);
    }

    #[test]
    fn the_stored_form_is_pinned() {
        // Rows on users' disks have this form: a change needs a migration.
        let text = r#"{"attempts":25,"rescue":5000,"crashes":3,"keep":[86400000,2592000000,null]}"#;
        let settings = Settings::from_stored(text).unwrap();
        assert_eq!(settings.max_attempts, Some(25));
        assert_eq!(settings.retention.cancelled, None);
        assert_eq!(settings.to_stored(), text);
        assert_eq!(
            Settings::from_stored(Settings::USUAL_STORED).unwrap().to_stored(),
            Settings::USUAL_STORED
        );
        assert!(Settings::from_stored("{}").is_err());
    }
}

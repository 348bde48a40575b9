//! A task's own rules as text: JSON, or nothing at all for the usual ones, which most tasks have.

use retry_core::task::Settings;

/// The text for which rows have nothing. It belongs to the stored rows: it stays when the default changes.
const USUAL: &str = concat!(
    r#"{"max_attempts":100,"give_up_at":null,"give_up_after":null,"rescue_delay":{"secs":5,"nanos":0},"crash_budget":3,"#,
    r#""expires_at":null,"expires_after":null,"deadline_after":null,"on_wait_deadline":"resume","#,
    r#""on_failed_children":"reduce","retention":{"succeeded":{"secs":86400,"nanos":0},"#,
    r#""failed":{"secs":2592000,"nanos":0},"cancelled":{"secs":86400,"nanos":0}}}"#
);

/// The stored form.
pub(crate) fn to_text(settings: &Settings) -> Option<String> {
    // Numbers and names always serialize.
    let text = serde_json::to_string(settings).unwrap_or_default();
    (text != USUAL).then_some(text)
}

/// Reads the stored form back; none if it is damaged.
pub(crate) fn from_text(text: Option<&str>) -> Option<Settings> {
    serde_json::from_str(text.unwrap_or(USUAL)).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use retry_core::task::{FailedChildren, OnWaitDeadline, Retention};
    use retry_core::time::Timestamp;

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
            assert_eq!(from_text(to_text(&settings).as_deref()), Some(settings));
        }
        assert_eq!(from_text(Some("{")), None);
    }

    #[test]
    fn the_usual_settings_are_the_default_ones() {
        // When this fails, the default has changed: USUAL must stay, and rows with the new default carry it.
        assert_eq!(to_text(&Settings::default()), None);
    }
}

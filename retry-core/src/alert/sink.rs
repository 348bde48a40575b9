//! Where alerts go.

use std::fmt;

use async_trait::async_trait;

use super::Alert;

/// Why a sink did not take an alert. It is logged and counted; the alert is not delivered again.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Takes alerts, one at a time.
///
/// It is called from a future of its own beside the worker's loops. It may take as long as the worker's
/// [`timeout`](super::AlertOptions::timeout), then the call is dropped; a panic is caught. It must not block its thread.
#[async_trait]
pub trait AlertSink: fmt::Debug + Send + Sync + 'static {
    /// Takes one alert.
    ///
    /// # Errors
    /// It could not. Its text is logged at debug level and must not hold secrets.
    async fn deliver(&self, alert: &Alert) -> Result<(), SinkError>;
}

/// Writes alerts to the log: a `warn` event with the target `task_retry::alert`. Texts of errors stay at debug level.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingSink;

#[async_trait]
impl AlertSink for TracingSink {
    async fn deliver(&self, alert: &Alert) -> Result<(), SinkError> {
        let task = alert.task.as_ref();
        tracing::warn!(
            target: "task_retry::alert",
            reason = alert.reason.as_str(),
            rule = &*alert.rule,
            queue = alert.queue.as_str(),
            kind = alert.kind.as_ref().map(crate::name::Kind::as_str),
            task = task.map(|task| tracing::field::display(task.id)),
            attempt = task.map(|task| task.attempt),
            span = ?alert.span,
            suppressed = alert.suppressed,
            "alert"
        );
        if let Some(error) = &alert.error {
            tracing::debug!(target: "task_retry::alert", incident = alert.incident, %error, "its error");
        }
        Ok(())
    }
}

#[cfg(test)]
const fn _object_safe(_: &dyn AlertSink) {}

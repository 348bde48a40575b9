//! Whom the simulated workers tell of failures: the world, whose invariants judge it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use retry_core::alert::{Alert, AlertOptions, AlertReason, AlertRule, AlertSink, SinkError};
use retry_core::engine::WorkerBuilder;

use super::exec::yield_once;
use super::fact::{Fact, Who};
use super::shared::Shared;

#[derive(Debug)]
struct World {
    shared: Arc<Shared>,
    who: Who,
}

#[async_trait]
impl AlertSink for World {
    async fn deliver(&self, alert: &Alert) -> Result<(), SinkError> {
        self.shared.tell(Fact::Alerted { who: self.who, alert });
        yield_once().await;
        Ok(())
    }
}

/// Every failure is told, none held back; a history is short, so are the limits.
pub(super) fn switch_on(builder: WorkerBuilder, shared: &Arc<Shared>, who: Who) -> WorkerBuilder {
    let shared = Arc::clone(shared);
    let options = AlertOptions::new()
        .cool_down(Duration::ZERO)
        .check_interval(Duration::from_secs(2))
        .not_started_after(Duration::from_secs(3))
        .running_after(Duration::from_secs(2));
    builder
        .alert(AlertRule::always())
        .alert_options(options)
        .alert_sink(World { shared, who })
}

/// Whether it tells of an attempt or a task that failed.
pub(super) const fn is_of_failure(alert: &Alert) -> bool {
    matches!(
        alert.reason,
        AlertReason::AttemptFailed
            | AlertReason::LeaseLost
            | AlertReason::TaskFailed
            | AlertReason::CrashBudgetSpent
    )
}

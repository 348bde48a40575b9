//! Quick retries: a failed run is repeated at once, inside the same attempt and under the same lease.

use std::time::Duration;

use futures_util::future::select;

use super::attempt::{Ended, Failure};
use super::held::Cancel;
use crate::clock::{Clock, Monotonic};
use crate::task::ErrorText;

/// How a kind's failed runs are repeated inside an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QuickRetries {
    /// How many runs may follow the first.
    pub(super) times: u32,
    /// The pause before the first of them; it doubles with each.
    pub(super) pause: Duration,
    /// No run begins later than this after the attempt began.
    pub(super) within: Duration,
}

/// How far the quick retries of one attempt are.
#[derive(Debug)]
pub(super) struct Progress {
    rule: Option<QuickRetries>,
    /// When the last run may begin.
    until: Monotonic,
    done: u32,
}

impl Progress {
    /// At the beginning of an attempt whose runs must all have ended at `deadline`.
    pub(super) fn new(rule: Option<QuickRetries>, began: Monotonic, deadline: Option<Monotonic>) -> Self {
        let within = began + rule.map_or(Duration::ZERO, |rule| rule.within);
        Self {
            rule,
            until: deadline.map_or(within, |deadline| deadline.min(within)),
            done: 0,
        }
    }

    /// Whether another run follows this end; it waits for its pause, which a cancel ends at once.
    pub(super) async fn again(&mut self, ended: &Ended, cancel: &Cancel, clock: &dyn Clock) -> bool {
        let (Some(rule), Some(failure)) = (self.rule, ended.failure()) else {
            return false;
        };
        if failure.is_final || self.done >= rule.times || cancel.reason().is_some() {
            return false;
        }
        let pause = rule.pause.saturating_mul(1 << self.done.min(16));
        let next = clock.monotonic() + pause;
        if next > self.until {
            return false;
        }
        self.done += 1;
        tracing::info!(
            quick_retry = self.done,
            ?pause,
            "the run failed; it is repeated inside the attempt"
        );
        tracing::debug!(error = %failure.text, "its error");
        let pause = clock.sleep_until(next);
        drop(select(pause, Box::pin(cancel.token().cancelled())).await);
        cancel.reason().is_none()
    }

    /// The end as it is recorded: the last error, with how many quick retries came before it.
    pub(super) fn record(&self, ended: Ended) -> Ended {
        match ended {
            Ended::Failed(failure) if self.done > 0 => Ended::Failed(Failure {
                text: ErrorText::new(format!("after {} quick retries: {}", self.done, failure.text)),
                is_final: failure.is_final,
            }),
            other => other,
        }
    }
}

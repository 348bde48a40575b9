//! What waits for one sink: a bounded queue in which dead letters are dropped last.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::alert::Alert;

#[derive(Debug, Default)]
pub(super) struct Mailbox {
    alerts: VecDeque<Arc<Alert>>,
    /// One is being delivered.
    delivering: bool,
}

impl Mailbox {
    /// Whether this alert would find a place among at most `limit`.
    pub(super) fn takes(&self, alert: &Alert, limit: usize) -> bool {
        self.alerts.len() < limit || (alert.reason.is_dead_letter() && self.newest_other().is_some())
    }

    /// Puts the alert in; answers which one had to give way: another, or the alert itself.
    pub(super) fn put(&mut self, alert: Arc<Alert>, limit: usize) -> Option<Arc<Alert>> {
        if !self.takes(&alert, limit) {
            return Some(alert);
        }
        let displaced = match self.newest_other() {
            Some(place) if self.alerts.len() >= limit => self.alerts.remove(place),
            _ => None,
        };
        self.alerts.push_back(alert);
        displaced
    }

    /// The place of the newest that tells of no dead letter: those before it have waited longer.
    fn newest_other(&self) -> Option<usize> {
        self.alerts
            .iter()
            .rposition(|alert| !alert.reason.is_dead_letter())
    }

    /// The next alert; the last one is no longer under way.
    pub(super) fn next(&mut self) -> Option<Arc<Alert>> {
        let next = self.alerts.pop_front();
        self.delivering = next.is_some();
        next
    }

    /// Whether nothing waits and nothing is being delivered.
    pub(super) fn is_idle(&self) -> bool {
        self.alerts.is_empty() && !self.delivering
    }
}

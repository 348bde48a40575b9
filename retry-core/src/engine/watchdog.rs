//! The watchdog: tells the handlers when the lease ends here, whatever the heartbeat waits for at that moment.

use std::sync::Arc;

use super::drive::Step;
use super::part::Part;
use super::session::SessionState;
use crate::clock::{Clock as _, Monotonic};

#[derive(Debug)]
pub(super) struct Watchdog {
    part: Arc<Part>,
}

impl Watchdog {
    pub(super) const fn new(part: Arc<Part>) -> Self {
        Self { part }
    }
}

impl Step for Watchdog {
    fn part(&self) -> &Arc<Part> {
        &self.part
    }

    fn name(&self) -> &'static str {
        "watchdog"
    }

    async fn step(&mut self) -> Monotonic {
        match self.part.session() {
            SessionState::None => {}
            SessionState::Open { lease_end, .. } if self.part.clock.monotonic() < lease_end => {
                return lease_end;
            }
            SessionState::Open { .. } => {
                tracing::warn!("the lease ended here: the store did not answer a beat in time");
                self.part.held.cancel_by_lease();
            }
            SessionState::Lost => self.part.held.cancel_by_lease(),
        }
        Monotonic::NEVER
    }

    async fn woken(&mut self) {
        self.part.lease_changed.notified().await;
    }
}

//! The detour: tries what waits for somebody else's unique key, beside the pump, which goes on with everything else.

use std::sync::Arc;
use std::time::Duration;

use super::blocked::{Tried, Width};
use super::drive::Step;
use super::outgoing::Batch;
use super::part::Part;
use super::{answers, refusal};
use crate::clock::{Clock as _, Monotonic};
use crate::store::{Certainty, Exchanged, StoreError, StoreErrorKind};

/// The first pause after a try in vain; it doubles with each further one. Stores wait for a lock by themselves, some for seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause: a key that is free is noticed within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Detour {
    part: Arc<Part>,
    /// What is being tried.
    sent: Batch,
    tried: Tried,
    /// One key at a time finds those that are free. While all are, it is twice as many with each try: perhaps none was ever held.
    width: Width,
    /// A try was in vain since all was written.
    is_held: bool,
    /// Tries in vain, in a row.
    failures: u32,
    pause_until: Monotonic,
}

impl Detour {
    pub(super) fn new(part: Arc<Part>) -> Self {
        Self {
            part,
            sent: Batch::default(),
            tried: Tried::default(),
            width: Width::NARROW,
            is_held: false,
            failures: 0,
            pause_until: Monotonic::default(),
        }
    }

    async fn try_next(&mut self) -> Monotonic {
        let part = Arc::clone(&self.part);
        if part.clock.monotonic() < self.pause_until {
            return self.pause_until;
        }
        // What a panic left is tried again; what it had let go of is blocked no more.
        if self.sent.is_empty() {
            part.outgoing
                .unblocked(&std::mem::take(&mut self.tried), Batch::default());
            (self.sent, self.tried) = part.outgoing.take_blocked(self.width);
        }
        if self.sent.is_empty() {
            (self.width, self.is_held, self.failures) = (Width::NARROW, false, 0);
            return Monotonic::NEVER;
        }
        part.engine.setup.meters.exchange(self.sent.len(), 0);
        let call = part.store.exchange(&self.sent.edits, &[], part.clock.now());
        match part.call(call).await {
            Ok(answer) => self.answered(answer),
            Err(error) if error.kind() == StoreErrorKind::Invalid => self.refused(&error),
            Err(error) => self.failed(&error),
        }
        part.pump.notify_one();
        part.engine.progress.notify_waiters();
        part.clock.monotonic().max(self.pause_until)
    }

    fn answered(&mut self, answer: Exchanged) {
        let part = &self.part;
        part.answered();
        self.failures = 0;
        self.width = if self.is_held {
            Width::NARROW
        } else {
            self.width.wider()
        };
        let answered = answers::all(part, std::mem::take(&mut self.sent), answer.applied);
        if answered.may_be_due {
            part.look_again();
        }
        let is_complete = answered.not_tried.is_empty();
        part.outgoing
            .unblocked(&std::mem::take(&mut self.tried), answered.not_tried);
        if !is_complete {
            self.pause();
        }
    }

    /// The store refuses something for good: of several, each is tried alone.
    fn refused(&mut self, error: &StoreError) {
        let (sent, tried) = (std::mem::take(&mut self.sent), std::mem::take(&mut self.tried));
        if sent.len() > 1 {
            self.width = Width::Alone;
            self.part.outgoing.first_blocked(sent);
        } else {
            self.width = Width::NARROW;
            let again = refusal::refused(&self.part, sent, error);
            self.part.outgoing.unblocked(&tried, again);
        }
    }

    /// Also what may have been written by now is sent again from here: what the pump sends goes with claims.
    fn failed(&mut self, error: &StoreError) {
        let waiting = self.sent.len();
        if !error.is_contention() {
            // Somebody's lock is no outage.
            self.part.health.failed();
        }
        if self.failures.is_power_of_two() {
            tracing::warn!(waiting, tries = self.failures, %error, "outcomes still wait for somebody else's transaction");
        }
        let (sent, tried) = (std::mem::take(&mut self.sent), std::mem::take(&mut self.tried));
        self.part.outgoing.still_blocked(sent, &tried);
        // No answer at all may be a lock that is waited for longer than a call.
        self.is_held |= error.is_contention() || error.certainty() == Certainty::Unknown;
        self.width = Width::NARROW;
        self.pause();
    }

    fn pause(&mut self) {
        let part = &self.part;
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.pause_until = part.clock.monotonic() + part.engine.jittered(pause.min(LONGEST_PAUSE));
    }
}

impl Step for Detour {
    fn part(&self) -> &Arc<Part> {
        &self.part
    }

    fn name(&self) -> &'static str {
        "detour"
    }

    async fn step(&mut self) -> Monotonic {
        self.try_next().await
    }

    async fn woken(&mut self) {
        self.part.detour.notified().await;
    }
}

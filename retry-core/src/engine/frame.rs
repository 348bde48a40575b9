//! The frame of an attempt, wherever it runs: its span, its switch, its place among what runs, its meters.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::held::{Cancel, CancelReason, Hold};
use super::kind::OnLeaseLost;
use super::part::Part;
use crate::clock::{Clock as _, Monotonic};
use crate::headers::Headers;
use crate::task::Task;

/// What becomes of the task of an attempt whose future is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abandoned {
    /// It is handed back.
    HandBack,
    /// Somebody else sees to it.
    Leave,
}

/// Dropped before its end, because the caller or a runtime went away, the attempt is cancelled for what it left behind,
/// and is none of those that run any more.
pub(super) struct Frame<'a> {
    part: &'a Part,
    task: &'a Arc<Task>,
    abandoned: Abandoned,
    cancel: Cancel,
    span: tracing::Span,
    /// Present while it runs.
    since: Option<Monotonic>,
    ended: bool,
}

impl<'a> Frame<'a> {
    pub(super) fn new(part: &'a Part, task: &'a Arc<Task>, headers: &Headers, abandoned: Abandoned) -> Self {
        let (id, kind) = (task.id, &task.kind);
        let span = tracing::info_span!("attempt", task = %id, %kind, queue = %task.queue, attempt = task.attempt, version = task.version);
        if let Some(propagator) = &part.engine.setup.propagator {
            // A user's code: its panic must not end the attempt's future, which would keep the task.
            let join = AssertUnwindSafe(|| propagator.extract(headers, &span));
            if catch_unwind(join).is_err() {
                tracing::error!(task = %id, "the propagator panicked");
            }
        }
        Self {
            part,
            task,
            abandoned,
            cancel: Cancel::default(),
            span,
            since: None,
            ended: false,
        }
    }

    pub(super) const fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    pub(super) const fn span(&self) -> &tracing::Span {
        &self.span
    }

    /// Notes among what is held that it runs; false: somebody else has the task.
    pub(super) fn start(&self, on_lease_lost: OnLeaseLost) -> bool {
        let (part, since) = (self.part, self.part.clock.monotonic());
        let ours = part
            .held
            .start(Hold::of(self.task), &self.cancel, on_lease_lost, since);
        if ours && on_lease_lost == OnLeaseLost::Cancel && !part.lease_is_current() {
            // It ended a moment ago, and whoever cancels by lease may have passed already.
            self.cancel.cancel(CancelReason::LeaseLost);
        }
        ours
    }

    /// The handler runs from now on.
    pub(super) fn begin(&mut self) {
        let part = self.part;
        self.since = Some(part.clock.monotonic());
        let meters = &part.engine.setup.meters;
        if meters.are_on() {
            meters.started(self.task, part.clock.now(), part.engine.permits.running());
        }
    }

    /// The handler has ended.
    pub(super) fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        let Some(since) = self.since else { return };
        let part = self.part;
        if !self.ended {
            self.cancel.cancel(CancelReason::LeaseLost);
        }
        part.held.end(Hold::of(self.task));
        let meters = &part.engine.setup.meters;
        if meters.are_on() {
            let took = part.clock.monotonic().saturating_since(since);
            meters.ended(self.task, took, part.engine.permits.running().saturating_sub(1));
        }
        if !self.ended && self.abandoned == Abandoned::HandBack {
            // With a checkpoint since, this is stale, and the heartbeat finds what is left.
            part.hand_back(self.task);
        }
    }
}

//! The herald, an alert dispatcher: hands alerts to its sink, one after another, each with a time of its own.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};

use super::drive::Step;
use super::part::Part;
use crate::alert::{Alert, AlertSink};
use crate::clock::{Clock as _, Monotonic};

#[derive(Debug)]
pub(super) struct Herald {
    /// Any part of the worker: it lends its clock.
    part: Arc<Part>,
    /// Which sink it serves.
    sink: usize,
}

impl Herald {
    pub(super) const fn new(part: Arc<Part>, sink: usize) -> Self {
        Self { part, sink }
    }

    /// Whether the sink took the alert.
    async fn deliver(&self, sink: &dyn AlertSink, alert: &Alert) -> bool {
        let setup = &self.part.engine.setup;
        let over = setup
            .clock
            .sleep_until(setup.clock.monotonic() + setup.alerts.options.timeout);
        // A sink may panic before it gives its future, too.
        let delivery = AssertUnwindSafe(async { sink.deliver(alert).await }).catch_unwind();
        let problem = match select(std::pin::pin!(delivery), over).await {
            Either::Left((Ok(Ok(())), _)) => return true,
            Either::Left((Ok(Err(error)), _)) => {
                tracing::debug!(%error, "a sink's error");
                "failed"
            }
            Either::Left((Err(_), _)) => "panicked",
            Either::Right(((), _)) => "took too long",
        };
        tracing::warn!(?sink, %alert, "an alert was not delivered: its sink {problem}");
        false
    }
}

impl Step for Herald {
    fn part(&self) -> &Arc<Part> {
        &self.part
    }

    fn name(&self) -> &'static str {
        "herald"
    }

    async fn step(&mut self) -> Monotonic {
        let engine = &self.part.engine;
        let sink = engine.setup.alerts.sinks.get(self.sink);
        let (Some(sink), Some(alert)) = (sink, engine.alerts.next(self.sink)) else {
            engine.progress.notify_waiters();
            return Monotonic::NEVER;
        };
        let delivered = self.deliver(sink.as_ref(), &alert).await;
        engine.alerts.done(delivered);
        self.part.clock.monotonic()
    }

    async fn woken(&mut self) {
        self.part.engine.alerts.woken(self.sink).await;
    }
}

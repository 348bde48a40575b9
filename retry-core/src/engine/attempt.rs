//! Runs one handler: under a timeout, with panics caught, ended when cancelled.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, select};

use super::held::{Cancel, CancelReason};
use crate::clock::{Clock, Monotonic};
use crate::executor::{Ctx, Executor, HandlerError, Outcome, PassedOver};
use crate::payload::Payload;
use crate::task::ErrorText;

/// How a handler ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It returned an outcome.
    Returned(Outcome),
    /// It failed, panicked or took too long.
    Failed(Failure),
    /// It was cancelled before it had an outcome.
    Cancelled(CancelReason),
}

/// A failure's text, and whether it is final.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) text: ErrorText,
    pub(super) is_final: bool,
}

impl Failure {
    fn retryable(text: String) -> Self {
        Self {
            text: ErrorText::new(text),
            is_final: false,
        }
    }
}

impl From<HandlerError> for Failure {
    fn from(error: HandlerError) -> Self {
        Self {
            text: error.to_text(),
            is_final: error.is_final(),
        }
    }
}

impl Ended {
    pub(super) const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Returned(_) | Self::Cancelled(_) => None,
        }
    }
}

pub(super) struct Limits {
    /// When it has taken too long, and how long that is.
    pub(super) deadline: Option<(Monotonic, Duration)>,
    pub(super) cancel_grace: Duration,
}

type Handler = Pin<Box<dyn Future<Output = Result<Outcome, Failure>> + Send>>;

/// Runs a handler to its end. A cancelled one may end by itself within its grace; then its future is dropped.
pub(super) async fn run(
    executor: &Arc<dyn Executor>,
    payload: Payload,
    ctx: Ctx,
    cancel: &Cancel,
    clock: &dyn Clock,
    limits: &Limits,
) -> Ended {
    let (told, passed_over) = (ctx.cancellation(), ctx.passed_over().clone());
    let mut handler = caught(Arc::clone(executor), payload, ctx);
    let deadline: BoxFuture<'_, ()> = match limits.deadline {
        Some((deadline, _)) => Box::pin(over(clock, deadline, passed_over)),
        None => Box::pin(std::future::pending()),
    };
    let timed_out = std::pin::pin!(async {
        tokio::select! {
            biased;
            () = told.cancelled() => false,
            () = deadline => true,
        }
    });
    let (ended, timed_out) = match select(&mut handler, timed_out).await {
        Either::Left((ended, _)) => (Some(ended), false),
        Either::Right((timed_out, _)) => {
            told.cancel();
            let grace = clock.sleep_until(clock.monotonic() + limits.cancel_grace);
            match select(&mut handler, grace).await {
                Either::Left((ended, _)) => (Some(ended), timed_out),
                Either::Right(((), _)) => (None, timed_out),
            }
        }
    };
    if catch_unwind(AssertUnwindSafe(|| drop(handler))).is_err() {
        tracing::warn!("a handler panicked while it was dropped");
    }
    match ended {
        // An outcome counts, also one that came after the order to stop.
        Some(Ok(outcome)) => Ended::Returned(outcome),
        Some(Err(failure)) if failure.is_final => Ended::Failed(failure),
        _ if timed_out => {
            let limit = limits.deadline.map_or(Duration::ZERO, |(_, timeout)| timeout);
            Ended::Failed(Failure::retryable(format!("no answer within {limit:?}")))
        }
        // An error of a cancelled handler is most likely the cancel itself.
        Some(Err(failure)) => cancel.reason().map_or(Ended::Failed(failure), Ended::Cancelled),
        None => Ended::Cancelled(cancel.reason().unwrap_or(CancelReason::LeaseLost)),
    }
}

/// Ends at the deadline, put off by what the attempt has passed over by then.
async fn over(clock: &dyn Clock, deadline: Monotonic, passed_over: PassedOver) {
    let mut until = deadline;
    loop {
        clock.sleep_until(until).await;
        let later = deadline + passed_over.get();
        if later <= until {
            return;
        }
        until = later;
    }
}

/// The handler with its panics caught, those of its error's own code included.
fn caught(executor: Arc<dyn Executor>, payload: Payload, ctx: Ctx) -> Handler {
    let handler = async move { executor.execute(payload, ctx).await.map_err(Failure::from) };
    let caught = AssertUnwindSafe(handler).catch_unwind();
    Box::pin(caught.map(|ended| {
        ended.unwrap_or_else(|panic| {
            let message = message(panic.as_ref());
            Err(Failure::retryable(format!("the handler panicked: {message}")))
        })
    }))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

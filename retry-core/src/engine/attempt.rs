//! Runs one handler: under a timeout, with panics caught, ended when cancelled.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, select};

use super::held::{Cancel, CancelReason};
use crate::clock::Clock;
use crate::executor::{Ctx, Executor, HandlerError, Outcome};
use crate::payload::Payload;

/// How a handler ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It returned.
    Returned(Result<Outcome, HandlerError>),
    /// It panicked with this message.
    Panicked(String),
    /// Its time was over.
    TimedOut(Duration),
    /// It was cancelled and did not return within its grace.
    Cancelled(CancelReason),
}

pub(super) struct Limits {
    pub(super) timeout: Option<Duration>,
    pub(super) cancel_grace: Duration,
}

type Handler = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// Runs a handler to its end. A cancelled one may end by itself within its grace; then its future is dropped.
pub(super) async fn run(
    executor: &Arc<dyn Executor>,
    payload: Payload,
    ctx: Ctx,
    cancel: &Cancel,
    clock: &dyn Clock,
    limits: &Limits,
) -> Ended {
    let mut handler = caught(Arc::clone(executor), payload, ctx);
    let deadline: BoxFuture<'_, ()> = match limits.timeout {
        Some(timeout) => clock.sleep_until(clock.monotonic() + timeout),
        None => Box::pin(std::future::pending()),
    };
    let stopped = async {
        tokio::select! {
            biased;
            () = cancel.token().cancelled() => {}
            () = deadline => cancel.cancel(CancelReason::Timeout),
        }
    };
    match select(&mut handler, Box::pin(stopped)).await {
        Either::Left((ended, _)) => ended,
        Either::Right(((), _)) => end(handler, cancel, clock, limits).await,
    }
}

fn caught(executor: Arc<dyn Executor>, payload: Payload, ctx: Ctx) -> Handler {
    let handler = AssertUnwindSafe(async move { executor.execute(payload, ctx).await });
    Box::pin(handler.catch_unwind().map(|ended| match ended {
        Ok(outcome) => Ended::Returned(outcome),
        Err(panic) => Ended::Panicked(message(panic.as_ref())),
    }))
}

async fn end(mut handler: Handler, cancel: &Cancel, clock: &dyn Clock, limits: &Limits) -> Ended {
    let reason = cancel.reason().unwrap_or(CancelReason::LeaseLost);
    let timed_out = || Ended::TimedOut(limits.timeout.unwrap_or_default());
    let grace = clock.sleep_until(clock.monotonic() + limits.cancel_grace);
    match select(&mut handler, grace).await {
        // Ended in time after all.
        Either::Left((Ended::Returned(Ok(outcome)), _)) => Ended::Returned(Ok(outcome)),
        Either::Left((_, _)) if reason == CancelReason::Timeout => timed_out(),
        // An error of a cancelled handler is most likely the cancel itself.
        Either::Left((_, _)) => Ended::Cancelled(reason),
        Either::Right(((), _)) => {
            if catch_unwind(AssertUnwindSafe(|| drop(handler))).is_err() {
                tracing::warn!("a cancelled handler panicked while it was dropped");
            }
            if reason == CancelReason::Timeout {
                timed_out()
            } else {
                Ended::Cancelled(reason)
            }
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

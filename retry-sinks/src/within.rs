//! A time limit of a sink's own.

use std::pin::pin;

use futures_util::future::{Either, select};
use retry_core::clock::{Clock, Monotonic};

/// What `work` brings, if it ends by `deadline`; otherwise it is dropped.
pub(crate) async fn by<T>(
    clock: &dyn Clock,
    deadline: Monotonic,
    work: impl Future<Output = T>,
) -> Option<T> {
    match select(pin!(work), clock.sleep_until(deadline)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

//! One call of the sink: it ends in time, and its panics are its own.

use std::panic::AssertUnwindSafe;
use std::pin::pin;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use retry_core::clock::Clock;

use super::Shared;
use crate::message::Outgoing;
use crate::sink::Answer;

/// One answer per message, whatever the sink does.
pub(super) async fn publish(shared: &Shared, clock: &dyn Clock, wave: &[Outgoing]) -> Vec<Answer> {
    let limit = shared.options.publish_timeout;
    let over = clock.sleep_until(clock.monotonic() + limit);
    let call = AssertUnwindSafe(shared.sink.publish(wave)).catch_unwind();
    let failed = |why: String| vec![Answer::retry(why); wave.len()];
    match select(pin!(call), over).await {
        Either::Left((Ok(answers), _)) => answers,
        Either::Left((Err(_), _)) => failed("the sink panicked".to_owned()),
        Either::Right(((), _)) => failed(format!("the broker did not answer within {limit:?}")),
    }
}

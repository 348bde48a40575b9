//! The two kinds that a relay's worker runs: owners of partitions, and messages without key.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use retry_core::clock::Clock;
use retry_core::executor::{Ctx, Executor, Final, HandlerError, Outcome};
use retry_core::payload::Payload;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::part::Part;
use super::publish::publish;
use super::turn::serve;
use crate::message::Outgoing;
use crate::sink::Answer;

/// How long a partition rests when its owner could not put everything back.
const REST: Duration = Duration::from_millis(500);

/// The payload of an owner task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ownership {
    pub(super) partition: u16,
    /// The number of partitions there are.
    pub(super) of: u16,
}

/// Owns a partition for one turn after the other.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) shared: Arc<Shared>,
    pub(super) part: Arc<Part>,
}

impl Executor for Owner {
    fn execute(&self, payload: Payload, ctx: Ctx) -> BoxFuture<'static, Result<Outcome, HandlerError>> {
        let (shared, part) = (Arc::clone(&self.shared), Arc::clone(&self.part));
        Box::pin(async move {
            let Ownership { partition, of } = payload.decode()?;
            if of != shared.queue.partition_count() {
                return Err(
                    format!("the partitions are {of}, and this relay was told of another number").into(),
                );
            }
            if shared.stop.is_cancelled() {
                return Ok(Outcome::Snooze(REST));
            }
            let left = serve(shared, part, partition, ctx).await?;
            let rest = if left.sessions.is_empty() {
                Duration::ZERO
            } else {
                REST
            };
            Ok(Outcome::continue_after(&left, rest)?)
        })
    }
}

/// Sends a message that has no order.
#[derive(Debug)]
pub(super) struct Unkeyed {
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Executor for Unkeyed {
    fn execute(&self, payload: Payload, ctx: Ctx) -> BoxFuture<'static, Result<Outcome, HandlerError>> {
        let (shared, clock) = (Arc::clone(&self.shared), Arc::clone(&self.clock));
        Box::pin(async move {
            let read = Outgoing::read(ctx.id(), &payload, ctx.headers().clone());
            // The error of the decoder may quote the payload.
            let mut message = read.map_err(|_| Final::new("the task's payload is no message"))?;
            message.fence = ctx.version();
            let topic = message.topic;
            message.topic = (shared.options.naming)(&topic);
            if ctx.is_dry_run() {
                return Ok(Outcome::Done);
            }
            let answers = publish(&shared, clock.as_ref(), std::slice::from_ref(&message)).await;
            let answer = answers.into_iter().next();
            match answer.unwrap_or_else(|| Answer::retry("the sink gave no answer")) {
                Answer::Acked => {
                    shared.counts.acked(&topic);
                    Ok(Outcome::Done)
                }
                Answer::Refused(reason) => {
                    shared.counts.refused(&topic);
                    Err(Final::new(reason.as_str()).into())
                }
                Answer::Retry(reason) => {
                    shared.counts.retried(&topic);
                    Err(reason.as_str().into())
                }
            }
        })
    }
}

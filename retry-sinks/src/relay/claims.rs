//! Claims of a partition: what is asked for, and what is made of what comes.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use retry_core::clock::Monotonic;
use retry_core::id::SessionId;
use retry_core::machine::Event;
use retry_core::store::{ClaimRequest, Claimed, Exchanged, Result};
use retry_core::task::{ClaimedTask, Edit, ErrorText, FailedAttempt, Task};
use retry_core::time::Timestamp;

use super::Options;
use super::part::Part;
use super::window::Held;
use crate::message::Outgoing;
use crate::queue::SinkQueue;

/// A request for the next messages of a partition, in lane order, which for messages is the order of their keys.
pub(super) fn request(queue: &SinkQueue, partition: u16, session: SessionId, room: usize) -> ClaimRequest {
    ClaimRequest::new(session, queue.queue_of(partition), [queue.message_kind()], room)
}

/// Settles and claims.
pub(super) fn exchange(
    part: Arc<Part>,
    edits: Vec<Edit>,
    claim: Option<ClaimRequest>,
) -> BoxFuture<'static, Result<Exchanged>> {
    Box::pin(async move {
        let now = part.now().await?;
        let claims: Vec<_> = claim.into_iter().collect();
        part.store.exchange(&edits, &claims, now).await
    })
}

/// When to claim again after this answer.
pub(super) fn next(part: &Part, options: &Options, now: Monotonic, claimed: &Claimed) -> Monotonic {
    let poll = now + part.jittered(options.idle_poll);
    match claimed.next_due {
        Some(due) => poll.min(now + due.saturating_since(part.last_now())),
        None => poll,
    }
}

/// The message of a claimed task; or, of one that is not to be sent, what becomes of it.
#[expect(clippy::result_large_err, reason = "the rare case carries the task on")]
pub(super) fn held(claimed: ClaimedTask, now: Timestamp) -> std::result::Result<Held, (Task, Event)> {
    let ClaimedTask {
        task,
        payload,
        headers,
        ..
    } = claimed;
    if task.cancel_requested {
        return Err((task, Event::PutBack));
    }
    if task.step == 0 && task.settings.expires_at.is_some_and(|expires| expires <= now) {
        return Err((task, Event::Expire));
    }
    match Outgoing::read(task.id, &payload, headers) {
        Ok(message) => Ok(Held { task, message }),
        Err(_) => {
            let failure = failed(
                &task,
                None,
                now,
                ErrorText::new("the task's payload is no message"),
            );
            Err((task, Event::Fail { failure }))
        }
    }
}

/// A failed attempt of a message.
pub(super) fn failed(task: &Task, part: Option<&Part>, now: Timestamp, error: ErrorText) -> FailedAttempt {
    FailedAttempt {
        attempt: task.attempt,
        worker: part.map(|part| part.name.clone()),
        started_at: task.updated_at.min(now),
        ended_at: now,
        error,
    }
}

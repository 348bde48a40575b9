//! The session under which a partition's messages are claimed: opened by one owner, renewed by it, closed by it or by the next.

use std::time::Duration;

use retry_core::clock::Monotonic;
use retry_core::id::SessionId;
use retry_core::store::{Result, SessionInfo, TaskStore};

use super::part::Part;
use crate::queue::SinkQueue;

/// A session that this owner has opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub(super) id: SessionId,
    /// When the lease ends, counted from when the last renewal was sent.
    pub(super) lease_end: Monotonic,
    /// When the next renewal is due.
    pub(super) renew_at: Monotonic,
}

impl Session {
    /// Opens a new session for a partition.
    pub(super) async fn open(part: &Part, queue: &SinkQueue, partition: u16, id: SessionId) -> Result<Self> {
        let now = part.now().await?;
        let sent = part.clock.monotonic();
        let info = SessionInfo {
            id,
            name: part.name.clone(),
            host: String::new(),
            queues: vec![queue.queue_of(partition)],
            kinds: vec![queue.message_kind()],
        };
        part.store
            .open_session(&info, now.saturating_add(part.lease), now)
            .await?;
        Ok(Self {
            id,
            lease_end: sent + part.lease,
            renew_at: sent + beat(part.lease),
        })
    }

    /// A renewal sent at `sent` has succeeded.
    pub(super) fn renewed(&mut self, sent: Monotonic, lease: Duration) {
        (self.lease_end, self.renew_at) = (sent + lease, sent + beat(lease));
    }
}

/// The pause between two renewals.
fn beat(lease: Duration) -> Duration {
    lease / 3
}

/// Ends a session; a failure is only told, since its lease ends by itself.
pub(super) async fn close(store: &dyn TaskStore, id: SessionId) {
    if let Err(error) = store.close_session(id).await {
        tracing::warn!(session = %id, %error, "the session of a partition was not closed; its lease will end by itself");
    }
}

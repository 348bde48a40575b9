//! The session of one part, as this worker sees it.

use crate::clock::Monotonic;
use crate::id::SessionId;

/// Where the session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum SessionState {
    /// None is open yet, or the last one is over and done with.
    #[default]
    None,
    /// Open. Past `lease_end` without a renewal nothing is started; it may still be renewed.
    Open {
        /// Its id.
        id: SessionId,
        /// When the lease ends, counted from when its renewal was sent.
        lease_end: Monotonic,
    },
    /// The store said that it is lost.
    Lost,
}

impl SessionState {
    /// Whether the lease holds at `now`.
    pub(super) fn is_current(self, now: Monotonic) -> bool {
        matches!(self, Self::Open { lease_end, .. } if now < lease_end)
    }

    /// Its id while it is open.
    pub(super) const fn id(self) -> Option<SessionId> {
        match self {
            Self::Open { id, .. } => Some(id),
            Self::None | Self::Lost => None,
        }
    }
}

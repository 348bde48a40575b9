//! What the end of a child does to its parent.

use super::target::{cancelled, end, pending};
use crate::task::{ErrorText, FailedChildren, State, Task};
use crate::time::Timestamp;

/// A parent's hot fields after its children changed. Written without raising the version: the parent's own edits stay
/// valid, because they are guarded by its state as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The new state: pending, failed or cancelled.
    pub state: State,
    /// When it is due.
    pub run_at: Timestamp,
    /// The next instant at which something must happen without a claim.
    pub alarm_at: Option<Timestamp>,
    /// When it may be forgotten.
    pub purge_at: Option<Timestamp>,
    /// Whether it holds its unique key.
    pub holds_key: bool,
    /// The last error, when it failed by its children.
    pub last_error: Option<ErrorText>,
}

/// Decides what becomes of `parent`, whose counters are already the new ones. None: it stays as it is.
#[must_use]
pub fn join(parent: &Task, now: Timestamp) -> Option<Joined> {
    if parent.state != State::Joining || parent.children.open > 0 {
        return None;
    }
    let mut last_error = None;
    let to = if parent.cancel_requested {
        cancelled(parent, now)
    } else if parent.children.failed == 0 {
        pending(parent, now)
    } else {
        match parent.settings.on_failed_children {
            FailedChildren::Reduce => pending(parent, now),
            FailedChildren::Hold => return None,
            FailedChildren::Fail => {
                let children = parent.children;
                last_error = Some(ErrorText::new(format!(
                    "{} of {} children failed",
                    children.failed, children.total
                )));
                end(parent, State::Failed, now)
            }
        }
    };
    let (state, run_at, alarm_at, purge_at, holds_key) =
        (to.state, to.run_at, to.alarm_at, to.purge_at, to.holds_key);
    Some(Joined {
        state,
        run_at,
        alarm_at,
        purge_at,
        holds_key,
        last_error,
    })
}

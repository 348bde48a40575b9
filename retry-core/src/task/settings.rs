//! What a task brings along for its whole life, so that any worker can rescue any kind.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::RetryPolicy;
use crate::time::Timestamp;

/// A task's own rules, fixed when it is enqueued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Attempts after which a failure is final; none = endless.
    pub max_attempts: Option<u32>,
    /// The time after which a failure is final.
    pub give_up_at: Option<Timestamp>,
    /// The span from which `give_up_at` was counted: a rerun counts it anew.
    pub give_up_after: Option<Duration>,
    /// How long a rescued task waits before it is due again (half to whole, by jitter). Zero, in a task without crash budget:
    /// it comes back to its old place, in the order of the claims.
    pub rescue_delay: Duration,
    /// Consecutive lost leases after which the task fails; none = unlimited.
    pub crash_budget: Option<u32>,
    /// The start deadline: in the first step no attempt begins after it, a retry neither; the task is cancelled. With
    /// children it has begun for good.
    pub expires_at: Option<Timestamp>,
    /// The span from which `expires_at` was counted: a rerun counts it anew.
    pub expires_after: Option<Duration>,
    /// How long one attempt may take before a rescuer takes the task away from its worker.
    pub deadline_after: Option<Duration>,
    /// What happens when a wait reaches its deadline.
    pub on_wait_deadline: OnWaitDeadline,
    /// What a parent does when all its children are done and some failed.
    pub on_failed_children: FailedChildren,
    /// How long the task is kept after its end.
    pub retention: Retention,
}

impl Settings {
    /// Attempts unless told otherwise, the default policy's: retries over a weekend.
    pub const DEFAULT_MAX_ATTEMPTS: u32 = RetryPolicy::DEFAULT_MAX_ATTEMPTS;
    /// Consecutive lost leases unless told otherwise: a task that kills its process stops doing so.
    pub const DEFAULT_CRASH_BUDGET: u32 = 3;
    /// Rescue delay unless told otherwise: lets a crashed dependency breathe, unnoticed by people.
    pub const DEFAULT_RESCUE_DELAY: Duration = Duration::from_secs(5);
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_attempts: Some(Self::DEFAULT_MAX_ATTEMPTS),
            give_up_at: None,
            give_up_after: None,
            rescue_delay: Self::DEFAULT_RESCUE_DELAY,
            crash_budget: Some(Self::DEFAULT_CRASH_BUDGET),
            expires_at: None,
            expires_after: None,
            deadline_after: None,
            on_wait_deadline: OnWaitDeadline::default(),
            on_failed_children: FailedChildren::default(),
            retention: Retention::default(),
        }
    }
}

/// What happens when a wait reaches its deadline without a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnWaitDeadline {
    /// The next step runs and finds no completion.
    #[default]
    Resume,
    /// The task fails.
    Fail,
}

/// What a parent does when its last child ends and some ended without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedChildren {
    /// Its next step runs all the same and sees the counts.
    #[default]
    Reduce,
    /// It fails.
    Fail,
    /// It stays until an operator reruns children or releases it.
    Hold,
}

/// How long a task is kept after its end, by final state; none = until it is deleted by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// After success. Zero deletes the row in the write by which a worker settles it, unless the task has a parent or
    /// open children.
    pub succeeded: Option<Duration>,
    /// After failure.
    pub failed: Option<Duration>,
    /// After a cancel.
    pub cancelled: Option<Duration>,
}

impl Default for Retention {
    /// A day for the good ends, thirty days for the dead letter.
    fn default() -> Self {
        Self {
            succeeded: Some(Duration::from_hours(24)),
            failed: Some(Duration::from_hours(30 * 24)),
            cancelled: Some(Duration::from_hours(24)),
        }
    }
}

/// How long a unique key keeps others out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyScope {
    /// Until its holder is in a final state.
    #[default]
    Active,
    /// As long as its holder is stored.
    UntilPurged,
}

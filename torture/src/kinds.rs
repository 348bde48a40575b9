//! The tasks. None may fail, however often its process is killed: endless attempts and no crash budget for all.

use std::time::Duration;

use retry_core::draft::{TaskOptions, TaskPayload};
use retry_core::policy::{Backoff, RetryPolicy};
use serde::{Deserialize, Serialize};

/// How long a rescued task rests, at most.
const RESCUE_DELAY: Duration = Duration::from_millis(100);
/// How long a failed one rests.
const RETRY_DELAY: Duration = Duration::from_millis(30);

fn options() -> TaskOptions {
    let policy = RetryPolicy::builder().backoff(Backoff::fixed(RETRY_DELAY));
    let policy = policy.endless().build().unwrap_or_default();
    TaskOptions::new()
        .retry(policy)
        .crash_budget(None)
        .rescue_delay(RESCUE_DELAY)
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $kind:literal { $($field:ident: $type:ty),* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Serialize, Deserialize)]
            pub(crate) struct $name {
                /// The number of the request, or of the one it descends from.
                pub(crate) n: u64,
                $(pub(crate) $field: $type,)*
            }

            impl TaskPayload for $name {
                const KIND: &'static str = $kind;

                fn options() -> TaskOptions {
                    options()
                }
            }
        )*
    };
}

kinds! {
    /// Succeeds at once.
    Quick = "quick" {}
    /// Takes a while; its output is its number. It has more bytes than a store keeps in a row with others.
    Slow = "slow" { millis: u64, ballast: String }
    /// Fails in its first `fails` attempts.
    Flaky = "flaky" { fails: u32 }
    /// Splits into children and joins them.
    Parent = "parent" { children: u32 }
    /// One of a parent's.
    Kid = "kid" { index: u32 }
    /// Counts to `steps`, storing its progress, half-way in another attempt.
    Saver = "saver" { steps: u32 }
    /// Waits for a completion by another process.
    Waiter = "waiter" {}
    /// Its request has a unique key.
    Single = "single" {}
    /// Enqueues `FOLLOWERS` others when it succeeds.
    Leader = "leader" {}
    /// One of a leader's.
    Follower = "follower" { index: u32 }
    /// Enqueued in a transaction with a row of the enqueuer's own.
    Order = "order" {}
}

/// The ballast of task `n`.
pub(crate) fn ballast(n: u64) -> String {
    format!("{n} ").repeat(1_000)
}

/// How many tasks a leader enqueues.
pub(crate) const FOLLOWERS: u32 = 2;

/// The part of a payload that all kinds have.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Common {
    pub(crate) n: u64,
    /// Of kids and followers.
    pub(crate) index: Option<u32>,
    /// Of parents.
    pub(crate) children: Option<u32>,
}

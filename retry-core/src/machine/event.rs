//! What can happen to a task, and why the machine may refuse it.

use std::fmt;

use crate::headers::Headers;
use crate::payload::Payload;
use crate::task::{CompletionOutcome, FailedAttempt, State};
use crate::time::Timestamp;

/// Something that happens to a task. The claim is the store's own ([`claim`](super::claim)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The attempt did its work.
    Succeed {
        /// What the handler returned.
        output: Option<Payload>,
        /// Whether the fallback did it.
        via_fallback: bool,
    },
    /// The attempt failed and may be repeated; becomes a failure when the attempts or the time are used up.
    Retry {
        /// When, by the policy.
        at: Timestamp,
        /// What went wrong.
        failure: FailedAttempt,
    },
    /// The attempt failed for good.
    Fail {
        /// What went wrong.
        failure: FailedAttempt,
    },
    /// The worker gives it back: it did not run it, or not to its end. Due at once; the attempt does not count, and
    /// says nothing about crashes.
    HandBack,
    /// As [`HandBack`](Self::HandBack), at its old place in the lane: tasks that are claimed in order stay in order.
    PutBack,
    /// The attempt failed, and the next one begins under the same lease, without a claim between.
    RetryInPlace {
        /// What went wrong.
        failure: FailedAttempt,
    },
    /// Not now: throttled, or others first. Not an error; the attempt does not count.
    Snooze {
        /// When to run again. In the past it is due at once, with that place in its lane, its present one at best.
        at: Timestamp,
    },
    /// Unfinished, call again: stores progress; the attempt does not count.
    Continue {
        /// When to run again.
        at: Timestamp,
        /// The progress.
        checkpoint: Payload,
    },
    /// Stores progress while the attempt goes on.
    Checkpoint {
        /// The progress.
        checkpoint: Payload,
    },
    /// The attempt ended by waiting for a completion.
    Wait {
        /// Until when.
        deadline: Timestamp,
    },
    /// The attempt ended by waiting for its children, inserted by the same edit or earlier ones.
    Split {
        /// What is to be remembered of the split; none leaves the checkpoint as it is.
        checkpoint: Option<Payload>,
    },
    /// A completion with the right token.
    Complete {
        /// What it does.
        outcome: CompletionOutcome,
    },
    /// The wait reached its deadline.
    WaitDeadline,
    /// The session that ran it is lost.
    LeaseLost {
        /// Its process is proved dead, so the task is due at once.
        process_dead: bool,
    },
    /// The attempt overran its own deadline.
    DeadlinePassed,
    /// The start deadline passed.
    Expire,
    /// The alarm of a waiting parent rang: its children have all ended, and its cancel was requested or its policy is to be
    /// asked; or one of them was rerun since.
    ChildrenEnded,
    /// The alarm of an ended parent rang and no child is open any more.
    AlarmDone,
    /// An operator cancels it.
    Cancel,
    /// An operator lets a parent go on without waiting for reruns.
    Release,
    /// An operator runs an ended task again.
    Rerun {
        /// When.
        at: Timestamp,
        /// From its first step instead of the step it ended in.
        from_start: bool,
    },
    /// An operator lets an ended parent wait for its children again, so that those that failed can be rerun.
    Reopen {
        /// How the steps behind the split begin anew; none goes on in the step that ended, as it was.
        restart: Option<Restart>,
    },
    /// An operator moves its time.
    Reschedule {
        /// When; the past means now.
        at: Timestamp,
    },
    /// An operator changes what it carries.
    Edit(AdminEdit),
    /// An operator forgets an ended task.
    Delete,
}

/// Where a reopened parent goes on when its children have ended, with nothing left of what its later steps did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// The step behind the split. Never one that the task has not reached, nor its first.
    pub step: u32,
    /// In place of the stored progress; none clears it.
    pub checkpoint: Option<Payload>,
}

/// What an operator changes in a pending task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdminEdit {
    /// A new payload.
    pub payload: Option<Payload>,
    /// New headers, in place of all old ones.
    pub headers: Option<Headers>,
}

/// Why an event does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// The task is in a state in which this cannot happen.
    State(State),
    /// The instant of the deadline has not come.
    TooEarly,
    /// The task already waits with this flag set.
    AlreadyRequested,
    /// A parent with open children is neither released, rerun, reopened nor deleted.
    ChildrenOpen,
    /// It never waited for children.
    NoChildren,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => write!(f, "a {state} task does not allow it"),
            Self::TooEarly => f.write_str("its time has not come"),
            Self::AlreadyRequested => f.write_str("it was requested already"),
            Self::ChildrenOpen => f.write_str("children are still open"),
            Self::NoChildren => f.write_str("it never waited for children"),
        }
    }
}

impl std::error::Error for Rejected {}

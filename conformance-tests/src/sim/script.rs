//! What a task is and what its handler does: data that the seed writes and the payload's number selects.

use std::time::Duration;

use retry_core::draft::Draft;
use retry_core::payload::Payload;
use retry_core::policy::{Backoff, RetryPolicy};
use retry_core::priority::Priority;
use retry_core::task::{FailedChildren, KeyScope, OnDuplicate, OnWaitDeadline, Retention};

/// The kinds of the simulated fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum KindOf {
    /// No options.
    Plain,
    /// At most a few at once.
    Few,
    /// One attempt only, so never claimed ahead.
    Once,
    /// With a time-out.
    Timed,
    /// With a fallback.
    Backed,
    /// Its handlers go on without a lease.
    Stays,
}

impl KindOf {
    pub(super) const ALL: [Self; 6] = [
        Self::Plain,
        Self::Few,
        Self::Once,
        Self::Timed,
        Self::Backed,
        Self::Stays,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Few => "few",
            Self::Once => "once",
            Self::Timed => "timed",
            Self::Backed => "backed",
            Self::Stays => "stays",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

pub(super) const QUEUES: [&str; 2] = ["default", "other"];
/// The number of the attempt above which the fallback of [`KindOf::Backed`] runs.
pub(super) const FALLBACK_ABOVE: u32 = 1;

/// Quick retries: how many runs may follow a failed one.
pub(super) const QUICK_RETRIES: u32 = 2;
/// The pause before the first of them.
pub(super) const QUICK_PAUSE: Duration = Duration::from_millis(50);
/// None begins later than this after the attempt began.
pub(super) const QUICK_WITHIN: Duration = Duration::from_secs(2);

/// Something a handler does before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Works this long; stops with an error when cancelled.
    Work(u64),
    /// Works this long, cancelled or not.
    WorkOn(u64),
    /// Stores progress.
    Checkpoint,
    /// Gives others a turn.
    Yield,
}

/// How a failing attempt fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    Error,
    Panic,
    Final,
}

/// What the outside party does with a wait's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// After this long, counted from the attempt's start: it may come before the task waits.
    pub(super) after: u64,
    pub(super) how: AnswerHow,
    pub(super) twice: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerHow {
    Resume,
    Succeed,
    Fail,
    Retry,
}

/// How a handler ends when it does not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Output,
    Stop,
    /// Snoozes while the task has been started fewer times than this.
    Snooze {
        millis: u64,
        starts: u32,
    },
    /// Continues later while the checkpoint is below this.
    Continue {
        millis: u64,
        rounds: u64,
    },
    /// Enqueues another script on success.
    FollowUp(usize),
    Wait {
        millis: u64,
        answer: Option<Answer>,
    },
    /// Into these scripts; in chunks of so many, where it is stored so.
    Split {
        children: Vec<usize>,
        chunk: Option<usize>,
    },
    /// Never, until cancelled.
    Stuck,
}

/// One step of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) acts: Vec<Act>,
    /// Attempts up to this one fail.
    pub(super) fails: u32,
    pub(super) failing: Failing,
    /// Runs of the first later attempt that fail before one does not.
    pub(super) flickers: u32,
    /// Whether the fallback, if there is one, fails as well.
    pub(super) fallback_fails: bool,
    pub(super) end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) number: usize,
    pub(super) kind: KindOf,
    pub(super) queue: &'static str,
    pub(super) priority: Priority,
    pub(super) delay: u64,
    pub(super) unique: Option<(u64, KeyScope, OnDuplicate)>,
    pub(super) expires: Option<u64>,
    pub(super) deadline: Option<u64>,
    /// Failures and snoozes end it after this long.
    pub(super) give_up: Option<u64>,
    pub(super) max_attempts: Option<u32>,
    pub(super) crash_budget: Option<u32>,
    pub(super) on_failed_children: FailedChildren,
    pub(super) on_wait_deadline: OnWaitDeadline,
    pub(super) forget: bool,
    /// How long it is kept when it has ended, at least.
    pub(super) kept: Option<u64>,
    pub(super) steps: Vec<Step>,
}

/// The policy of every simulated kind; tasks differ in the number of attempts.
pub(super) fn policy(max_attempts: Option<u32>, give_up: Option<u64>) -> RetryPolicy {
    let builder = RetryPolicy::builder().backoff(Backoff::fixed(Duration::from_millis(400)));
    let builder = match max_attempts {
        Some(max) => builder.max_attempts(max),
        None => builder.endless(),
    };
    let builder = match give_up {
        Some(millis) => builder.give_up_after(Duration::from_millis(millis)),
        None => builder.never_give_up(),
    };
    builder.build().unwrap_or_else(|_| RetryPolicy::once())
}

impl Script {
    /// The step's part of the script; behind its end there is nothing left to do.
    pub(super) fn step(&self, step: u32) -> Option<&Step> {
        self.steps.get(usize::try_from(step).ok()?)
    }

    pub(super) fn draft(&self) -> Draft {
        let millis = Duration::from_millis;
        let payload = Payload::encode(&self.number).unwrap_or_else(|_| Payload::null());
        let mut draft = Draft::raw(self.kind.name(), payload)
            .queue(self.queue)
            .priority(self.priority)
            .retry(policy(self.max_attempts, self.give_up))
            .crash_budget(self.crash_budget)
            .rescue_delay(millis(500))
            .on_failed_children(self.on_failed_children)
            .on_wait_deadline(self.on_wait_deadline);
        if self.delay > 0 {
            draft = draft.delay(millis(self.delay));
        }
        if let Some((key, scope, on_duplicate)) = self.unique {
            draft = draft.unique_with(format!("key-{key}"), scope, on_duplicate);
        }
        if let Some(after) = self.expires {
            draft = draft.expires_after(millis(after));
        }
        if let Some(after) = self.deadline {
            draft = draft.deadline_after(millis(after));
        }
        let mut retention = Retention::default();
        if let Some(kept) = self.kept.map(millis) {
            (retention.failed, retention.cancelled) = (Some(kept), Some(kept));
            retention.succeeded = Some(kept);
        }
        if self.forget {
            retention.succeeded = Some(Duration::ZERO);
        }
        draft = draft.retention(retention);
        draft
    }

    /// How long its attempts take and its waits may last, one run of each step.
    pub(super) fn millis(&self) -> u64 {
        let act = |act: &Act| match act {
            Act::Work(millis) | Act::WorkOn(millis) => *millis,
            Act::Checkpoint | Act::Yield => 0,
        };
        let end = |end: &End| match end {
            End::Snooze { millis, .. } | End::Continue { millis, .. } | End::Wait { millis, .. } => *millis,
            _ => 0,
        };
        // Runs that are repeated, and the last of them begins then.
        let quick = u64::try_from(QUICK_WITHIN.as_millis()).unwrap_or(u64::MAX);
        let steps = self.steps.iter();
        self.delay
            + steps
                .map(|step| step.acts.iter().map(act).sum::<u64>() + end(&step.end) + quick)
                .sum::<u64>()
    }

    /// Whether some step never ends by itself.
    pub(super) fn is_stuck(&self) -> bool {
        self.steps.iter().any(|step| step.end == End::Stuck)
    }
}

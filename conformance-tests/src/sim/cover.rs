//! What a run of many histories must have hit at least once, so that a green run means something.

use std::collections::BTreeMap;

use super::fact::Op;
use super::fault::{Fault, Faults};

macro_rules! sometimes {
    ($($variant:ident $text:literal,)*) => {
        /// Something that must happen sometimes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Sometimes {
            $(#[doc = $text] $variant,)*
        }

        impl Sometimes {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What happened.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

sometimes! {
    Delayed "a call took time",
    Rejected "a call was rejected",
    KeyHeld "a call waited for a key in somebody's open transaction",
    UnknownBefore "a call failed with an unknown outcome, unwritten",
    UnknownAfter "a call failed with an unknown outcome, written",
    Partial "an exchange was written in part",
    Hung "a reply was lost",
    Late "a call was written after its error",
    Outage "the store was away",
    PowerCut "the store lost unsynced writes",
    ClockStep "the store's clock stepped",
    HintLost "a wake-up was lost",
    HintDoubled "a wake-up was doubled",
    Crash "a worker crashed",
    Frozen "a worker was frozen",
    FrozenPastLease "a worker was frozen beyond its lease",
    Restarted "a worker shut down gracefully",
    Skewed "a worker's clock stepped",
    Succeeded "an attempt succeeded",
    Failed "an attempt failed",
    FailedForGood "an attempt failed for good",
    Snoozed "an attempt snoozed",
    Continued "an attempt continued later",
    Waited "an attempt waited",
    SplitUp "an attempt split",
    Dropped "a handler's future was dropped",
    Cancelled "a running handler was cancelled",
    HandedBack "a claimed task was handed back unrun",
    LeaseLost "a lease was lost",
    DeadlinePassed "a deadline passed",
    Expired "a task expired",
    WaitDeadline "a wait reached its deadline",
    EarlyCompletion "a completion came early",
    Checkpoint "progress was stored",
    CheckpointRefused "progress was refused: the lease was gone",
    FallbackRan "a fallback ran",
    EndSucceeded "a task succeeded",
    EndFailed "a task failed",
    EndCancelled "a task was cancelled",
    Rerun "a task was rerun",
    Deleted "a task was deleted",
    Duplicate "an enqueue met a duplicate",
    SessionLost "a worker learned that its session is lost",
    Slept "everything but the store slept",
    ClockStepFar "the store's clock stepped by more than a third of the lease",
    ConnectionCut "a call met a connection that a power cut had ended",
    ShutdownInOutage "a worker was shut down while the store was away",
    Replaced "a duplicate replaced parts of the pending holder of its key",
    InsertRepeated "an insert was sent again and met its first copy",
    CheckpointRepeated "progress was sent again and met its first copy",
    EditRepeated "another edit was sent again and met its first copy",
    BornLeased "a task was born running",
    BornPending "a task that was to be born running was born pending",
    RanHere "a task born on a worker ran there",
    RanInline "a task ran in its enqueuer's future",
    TransactionUndone "a transaction with a born task was rolled back",
    SavepointUndone "a savepoint took a born task along",
    BornUnknown "a transaction with a born task ended with an unknown outcome",
    GaveUp "a task's give-up time ended it",
    KeptByPause "a claim met a paused queue with due tasks",
    Purged "an ended task was purged",
    SameClaim "a version was given again after lost writes",
    PartLeftAlone "a part that did not answer was not called any more",
    Told "a failed attempt was told",
    ToldDead "a dead letter was told",
    ToldLate "a wait or a run that took too long was told",
    Repeated "a failed run was repeated inside its attempt",
    RepeatedWell "a run that was repeated inside its attempt succeeded",
    TriedWell "a task that was tried succeeded and was not stored",
    TriedAndKept "a task whose try did not succeed was stored",
    Chunked "a split was stored in chunks",
    ChunksResumed "a split went on behind the chunks of an earlier attempt",
    HandedOver "a row of an outbox was handed over",
    HandedTogether "several rows of an outbox were handed over in one write",
    HandedLate "a row of an outbox was handed over behind one that had been written after it",
    KeptOutAtHandOver "a row's task was kept out by the holder of its key",
    RolledBack "a row of an outbox was rolled back",
    HandOverRefused "a hand-over came too late: another relay had taken over",
    HandOverRepeated "a hand-over was sent again and met its first copy",
    RelayCrash "a relay crashed",
    OwnerCancelled "an operator cancelled the task by which relays take turns",
    Overlap "two runs of one task overlapped after a lost lease",
}

/// How often each of them happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    hits: BTreeMap<Sometimes, u64>,
    faults: Faults,
}

impl Coverage {
    pub(super) fn hit(&mut self, what: Sometimes) {
        *self.hits.entry(what).or_default() += 1;
    }

    /// Adds the counts of another history.
    pub fn add(&mut self, other: &Self) {
        for (what, n) in &other.hits {
            *self.hits.entry(*what).or_default() += n;
        }
        self.faults.add(&other.faults);
    }

    /// How often it happened.
    #[must_use]
    pub fn of(&self, what: Sometimes) -> u64 {
        self.hits.get(&what).copied().unwrap_or(0)
    }

    pub(super) fn fault(&mut self, fault: Fault, op: Op) {
        self.faults.hit(fault, op);
    }

    /// What never happened: of all that should, and of each fault in each kind of call.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let never = Sometimes::ALL.iter().filter(|what| self.of(**what) == 0);
        let never = never.map(|what| what.text().to_owned());
        never.chain(self.faults.missing()).collect()
    }

    /// Faults, their kinds, and pairs of a fault and a kind of call.
    #[must_use]
    pub fn faults(&self) -> (u64, usize, usize) {
        self.faults.counts(|what| self.of(what))
    }
}

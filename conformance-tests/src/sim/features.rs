//! The parts of a world that a seed switches on or off, by name, so that a failing history can be shrunk.

use std::fmt;

macro_rules! features {
    ($($variant:ident $name:literal $what:literal,)*) => {
        /// A part of a world that a seed may switch on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Feature {
            $(#[doc = $what] $variant,)*
        }

        impl Feature {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

features! {
    Latency "latency" "Calls take time, there and back.",
    Rejected "rejected" "Calls fail before anything is written.",
    Unknown "unknown" "Calls fail with an unknown outcome, before or after the write.",
    Partial "partial" "An exchange writes some of its edits and fails with an unknown outcome.",
    Hang "hang" "Replies are lost: the caller waits for its time-out.",
    Late "late" "A call fails with an unknown outcome and is written later.",
    Outage "outage" "The store is away for a while.",
    PowerCut "power-cut" "The store loses what it had not synced.",
    ClockStep "clock-step" "The store's clock steps.",
    Hints "hints" "Wake-ups are lost and doubled.",
    Crash "crash" "A worker's process dies and another starts.",
    Freeze "freeze" "A worker is not scheduled for a while.",
    Restart "restart" "A worker shuts down gracefully and starts again.",
    Skew "skew" "Workers' own clocks are wrong and step.",
    Fail "fail" "Handlers fail a few times.",
    Final "final" "Handlers fail for good, or stop.",
    Panic "panic" "Handlers panic.",
    Stuck "stuck" "Handlers never end by themselves.",
    Slow "slow" "Handlers take long.",
    Stubborn "stubborn" "Handlers ignore a cancel.",
    Split "split" "Handlers split into children.",
    Wait "wait" "Handlers wait for a completion from outside.",
    Checkpoint "checkpoint" "Handlers store progress.",
    FollowUp "follow-up" "Handlers enqueue on success.",
    Snooze "snooze" "Handlers snooze or continue later.",
    Fallback "fallback" "A kind has a fallback.",
    Timeout "timeout" "A kind has a time-out.",
    Deadline "deadline" "Tasks have a deadline of their own.",
    Expiry "expiry" "Tasks expire unless they begin in time.",
    Unique "unique" "Tasks have unique keys.",
    Priority "priority" "Tasks have different priorities.",
    Limits "limits" "Kinds and queues have limits of their own.",
    Stays "stays" "A kind's handlers go on without a lease.",
    Delay "delay" "Tasks are due later.",
    Cancel "cancel" "An operator cancels tasks.",
    Rerun "rerun" "An operator reruns and deletes ended tasks.",
    Edit "edit" "An operator reschedules and edits pending tasks.",
    PauseQueue "pause-queue" "An operator pauses queues.",
    Ranks "ranks" "Futures run by rank instead of uniformly.",
    Parts "parts" "The store has two parts.",
    GiveUp "give-up" "Tasks have a give-up time.",
    Born "born-leased" "Tasks are inserted as running under somebody's session.",
    Sleep "sleep" "Everything but the store sleeps for a while, and ended tasks are kept shortly.",
    Here "run-here" "Workers' programs enqueue and run it at once: alone, inline, in transactions.",
    Alerts "alerts" "Workers tell failures, and look for tasks that hang.",
    Quick "quick-retries" "Failed runs are repeated inside their attempt.",
    Try "try-first" "Workers' programs try tasks before they store them.",
    Outbox "outbox" "Clients commit tasks in an outbox, and relays hand them over.",
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(u64);

impl Features {
    /// Whether `feature` is in it.
    #[must_use]
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & (1 << feature as u64) != 0
    }

    /// With `feature`.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Self {
        Self(self.0 | (1 << feature as u64))
    }

    /// Without those of `others`.
    #[must_use]
    pub const fn minus(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Its members.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL
            .iter()
            .copied()
            .filter(move |feature| self.has(*feature))
    }
}

impl FromIterator<Feature> for Features {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Self {
        features.into_iter().fold(Self::default(), Self::with)
    }
}

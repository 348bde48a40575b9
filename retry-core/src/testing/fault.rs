//! What can be made to go wrong, once.

use std::fmt;

/// Something that goes wrong once, counted over all handlers from when it is planned with
/// [`TestKit::fault`](super::TestKit::fault). The first is number 1.
///
/// An *await point* is a poll of a handler's future that ended unfinished: an `.await` that had to wait. One that was
/// ready at once is none, as nothing can come between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The worker's process dies at this await point: all its handlers' futures are dropped where they are, nothing more is
    /// written. A new process takes its place; the tasks come back when the lease has ended.
    CrashAtAwait(u32),
    /// The worker's process dies when this run of a handler has returned, before its outcome is recorded.
    CrashBeforeSettle(u32),
    /// The worker's process stands still at this await point until another worker has done the task; then it goes on, and
    /// the handler with it, as after a long pause of its machine.
    OverlapAtAwait(u32),
    /// The worker's process stands still when this run of a handler has returned, and records its outcome after another
    /// worker has run the task as well.
    DeliverTwice(u32),
    /// This write of outcomes reaches the store, but its answer is lost.
    LoseReply(u32),
}

impl Fault {
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::CrashAtAwait(n)
            | Self::CrashBeforeSettle(n)
            | Self::OverlapAtAwait(n)
            | Self::DeliverTwice(n)
            | Self::LoseReply(n) => n,
        }
    }

    /// What it counts.
    pub(super) const fn counted(self) -> Counted {
        match self {
            Self::CrashAtAwait(_) | Self::OverlapAtAwait(_) => Counted::Awaits,
            Self::CrashBeforeSettle(_) | Self::DeliverTwice(_) => Counted::Returns,
            Self::LoseReply(_) => Counted::Settles,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrashAtAwait(n) => write!(f, "a crash at await point {n}"),
            Self::CrashBeforeSettle(n) => {
                write!(f, "a crash before the outcome of run {n} was recorded")
            }
            Self::OverlapAtAwait(n) => {
                write!(
                    f,
                    "a worker that stood still at await point {n} while another did the task"
                )
            }
            Self::DeliverTwice(n) => write!(f, "a second delivery of run {n}"),
            Self::LoseReply(n) => write!(f, "a lost reply to write {n} of outcomes"),
        }
    }
}

/// What faults are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Awaits,
    Returns,
    Settles,
}

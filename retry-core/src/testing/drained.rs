//! What is left after a drain, and why.

use std::fmt;
use std::time::Duration;

use super::world::Stopped;
use crate::id::TaskId;
use crate::name::{Kind, Queue};
use crate::task::State;
use crate::time::Timestamp;

/// Tasks named in a report at most: the first ones say what is wrong.
const NAMED: usize = 20;

/// How a [`TestKit::drain`](super::TestKit::drain) ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "a drain that leaves tasks open may hide a mistake: `assert_done`, or look at `open`"]
pub struct Drained {
    /// Why it stopped.
    pub stopped: Stopped,
    /// The tasks that have not ended, oldest first.
    pub open: Vec<Open>,
    /// The simulated time that it took.
    pub elapsed: Duration,
}

/// A task that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Open {
    /// The task.
    pub id: TaskId,
    /// Its kind.
    pub kind: Kind,
    /// Its queue.
    pub queue: Queue,
    /// Its state.
    pub state: State,
    /// What it waits for.
    pub why: Why,
}

/// Why a task has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It waits for a completion from outside, until then; [`TestKit::advance`](super::TestKit::advance) reaches it.
    Completion(Option<Timestamp>),
    /// It waits for children, of which so many are open.
    Children(u32),
    /// The kit has no handler of its kind.
    NoHandler,
    /// The kit's worker does not claim from its queue.
    QueueNotClaimed,
    /// Its queue is paused.
    QueuePaused,
    /// It is due then, and the drain was stopped before.
    Due(Timestamp),
    /// Its handler runs, or its lease has not ended, and the drain was stopped before.
    Running,
}

impl Why {
    /// Whether the task goes on by itself.
    pub(super) const fn goes_on(self) -> bool {
        matches!(self, Self::Due(_) | Self::Running)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completion(Some(until)) => {
                write!(f, "waits for a completion until {} ms", until.as_millis())
            }
            Self::Completion(None) => f.write_str("waits for a completion"),
            Self::Children(open) => write!(f, "waits for {open} open children"),
            Self::NoHandler => f.write_str("the kit has no handler of its kind"),
            Self::QueueNotClaimed => f.write_str("the kit's worker does not claim from its queue"),
            Self::QueuePaused => f.write_str("its queue is paused"),
            Self::Due(at) => write!(f, "is due at {} ms", at.as_millis()),
            Self::Running => f.write_str("runs"),
        }
    }
}

impl Drained {
    /// Whether every task has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stopped == Stopped::Idle && self.open.is_empty()
    }

    /// Expects that every task has ended, in whatever state.
    ///
    /// # Panics
    /// One has not; the message names it and says why.
    #[track_caller]
    pub fn assert_done(&self) {
        assert!(self.is_done(), "{self}");
    }
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = self.elapsed;
        match self.stopped {
            Stopped::Idle => write!(f, "drained in {elapsed:?}")?,
            Stopped::StepLimit => write!(f, "stopped at the limit of steps, after {elapsed:?}")?,
            Stopped::TimeLimit => write!(f, "stopped at the limit of simulated time, {elapsed:?}")?,
        }
        if self.open.is_empty() {
            return f.write_str("; every task has ended");
        }
        write!(f, "; {} not ended:", self.open.len())?;
        for open in self.open.iter().take(NAMED) {
            write!(f, "\n  {} {} ({}): {}", open.kind, open.id, open.state, open.why)?;
        }
        if self.open.len() > NAMED {
            write!(f, "\n  … and {} more", self.open.len() - NAMED)?;
        }
        Ok(())
    }
}

//! The states of a task.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for its time and for a worker.
    Pending = 0,
    /// A session holds it and runs its handler.
    Running = 1,
    /// Waits for a completion from outside, until its wait deadline.
    Waiting = 2,
    /// A parent waits for its children.
    Joining = 3,
    /// Ended well.
    Succeeded = 4,
    /// Ended badly: the dead letter, kept for an operator.
    Failed = 5,
    /// Ended by a cancel or by passing its start deadline.
    Cancelled = 6,
}

impl State {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Joining,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether the task has ended. Only a rerun or a deletion follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Whether the task ended without success; a parent counts such a child as failed.
    #[must_use]
    pub const fn is_unsuccessful(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled)
    }

    /// The number stores keep.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The state of a stored number; none if no state has it.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Pending),
            1 => Some(Self::Running),
            2 => Some(Self::Waiting),
            3 => Some(Self::Joining),
            4 => Some(Self::Succeeded),
            5 => Some(Self::Failed),
            6 => Some(Self::Cancelled),
            _ => None,
        }
    }

    /// Its name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Joining => "joining",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

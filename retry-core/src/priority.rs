//! The four priority levels.

use serde::{Deserialize, Serialize};

/// How urgent a task is. Within a queue every due task of a level is claimed before any of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before everything else.
    Urgent = 0,
    /// Before normal work.
    High = 1,
    /// What a task has unless told otherwise.
    #[default]
    Normal = 2,
    /// When nothing else is due.
    Low = 3,
}

impl Priority {
    /// All levels, most urgent first.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::High, Self::Normal, Self::Low];

    /// The number stores keep: 0 is the most urgent.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The level of a stored number; none if no level has it.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Urgent),
            1 => Some(Self::High),
            2 => Some(Self::Normal),
            3 => Some(Self::Low),
            _ => None,
        }
    }

    /// Its name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_in_order() {
        for (code, level) in (0u8..).zip(Priority::ALL) {
            assert_eq!(level.code(), code);
            assert_eq!(Priority::from_code(code), Some(level));
        }
        assert_eq!(Priority::from_code(4), None);
        assert!(Priority::Urgent < Priority::Low);
    }
}

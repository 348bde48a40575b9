//! Error texts as they are kept, and the history of failed attempts.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_ERROR_BYTES;
use crate::name::WorkerName;
use crate::time::Timestamp;

const CUT_MARK: &str = "… [cut]";

/// An error's text: at most 8 KiB, cut on a character boundary and marked when longer, U+0000 shown as `␀`.
///
/// Its `Debug` form shows the length only, so that a user's data never slips into a log.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct ErrorText(Arc<str>);

impl ErrorText {
    /// Takes a text, cutting it to the bound.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        if text.len() <= MAX_ERROR_BYTES && !text.contains('\0') {
            return Self(Arc::from(text));
        }
        let mut kept = text.replace('\0', "␀");
        if kept.len() > MAX_ERROR_BYTES {
            let mut end = MAX_ERROR_BYTES - CUT_MARK.len();
            while !kept.is_char_boundary(end) {
                end -= 1;
            }
            kept.truncate(end);
            kept.push_str(CUT_MARK);
        }
        Self(Arc::from(kept))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorText({} bytes)", self.0.len())
    }
}

impl From<String> for ErrorText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for ErrorText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<ErrorText> for String {
    fn from(text: ErrorText) -> Self {
        text.0.as_ref().to_owned()
    }
}

/// One failed attempt, as the history keeps it (the last 20). The history of a failed task ends with what failed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// Its number, from 1; 0 of a parent that failed because its children did, without an attempt of its own.
    pub attempt: u32,
    /// The worker that ran it; none when its lease was lost or its deadline passed, and when it waited and the wait failed.
    pub worker: Option<WorkerName>,
    /// When it began, by its worker's clock; where there is no worker, when the task last changed: an attempt that waited
    /// began to wait then.
    pub started_at: Timestamp,
    /// When it ended or its end was noticed.
    pub ended_at: Timestamp,
    /// What went wrong.
    pub error: ErrorText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_on_a_character_boundary_and_marked() {
        let exact = "e".repeat(MAX_ERROR_BYTES);
        assert_eq!(ErrorText::new(&exact).as_str(), exact);
        for shift in 0..4 {
            let text = ErrorText::new("x".repeat(shift) + &"🎉".repeat(MAX_ERROR_BYTES));
            assert!(text.as_str().len() <= MAX_ERROR_BYTES);
            assert!(text.as_str().ends_with(CUT_MARK));
        }
    }

    #[test]
    fn nul_is_shown_not_kept() {
        assert_eq!(ErrorText::new("a\0b").as_str(), "a␀b");
    }
}

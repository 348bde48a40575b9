//! Completions: the answer from outside that a waiting task waits for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ErrorText;
use crate::id::{InvalidId, TaskId};
use crate::payload::Payload;
use crate::time::Timestamp;

/// What a completion does to the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompletionOutcome {
    /// The next step runs and finds this data.
    Resume(Payload),
    /// The task succeeds, with an output.
    Succeed(Option<Payload>),
    /// The task fails.
    Fail(ErrorText),
    /// The step runs again at this time.
    Retry {
        /// When.
        at: Timestamp,
        /// Why.
        error: ErrorText,
    },
}

/// A completion as it is kept, with the step whose wait it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The step that waited.
    pub step: u32,
    /// What it does.
    pub outcome: CompletionOutcome,
}

/// The right to complete one wait of one task: its id, the step that waits and a secret of the task.
///
/// Hand its text form to the system that will answer. Its `Debug` form hides the secret.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WaitToken {
    /// The task.
    pub task: TaskId,
    /// The step that waits.
    pub step: u32,
    /// Drawn at random when the task was enqueued.
    pub secret: u64,
}

impl fmt::Display for WaitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{:016x}", self.task, self.step, self.secret)
    }
}

impl fmt::Debug for WaitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.…", self.task, self.step)
    }
}

impl FromStr for WaitToken {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut parts = text.split('.');
        let (Some(task), Some(step), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidId);
        };
        let secret_right = secret.len() == 16 && secret.bytes().all(|b| b.is_ascii_hexdigit());
        let step_right = !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit());
        if !secret_right || !step_right {
            return Err(InvalidId);
        }
        Ok(Self {
            task: task.parse()?,
            step: step.parse().map_err(|_| InvalidId)?,
            secret: u64::from_str_radix(secret, 16).map_err(|_| InvalidId)?,
        })
    }
}

impl TryFrom<String> for WaitToken {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<WaitToken> for String {
    fn from(token: WaitToken) -> Self {
        token.to_string()
    }
}

impl Completion {
    /// The JSON text in which stores keep it.
    #[must_use]
    pub fn to_stored(&self) -> String {
        let text = |payload: &Payload| payload.as_json().to_owned();
        let stored = match &self.outcome {
            CompletionOutcome::Resume(data) => Stored::Resume { data: text(data) },
            CompletionOutcome::Succeed(output) => Stored::Succeed {
                output: output.as_ref().map(text),
            },
            CompletionOutcome::Fail(error) => Stored::Fail { error: error.clone() },
            CompletionOutcome::Retry { at, error } => Stored::Retry {
                at: *at,
                error: error.clone(),
            },
        };
        // Numbers and strings always serialize.
        serde_json::to_string(&(self.step, stored)).unwrap_or_default()
    }

    /// Reads the stored text back.
    ///
    /// # Errors
    /// The text is damaged.
    pub fn from_stored(text: &str) -> Result<Self, serde_json::Error> {
        let (step, stored): (u32, Stored) = serde_json::from_str(text)?;
        let outcome = match stored {
            Stored::Resume { data } => CompletionOutcome::Resume(Payload::from_stored(data)),
            Stored::Succeed { output } => CompletionOutcome::Succeed(output.map(Payload::from_stored)),
            Stored::Fail { error } => CompletionOutcome::Fail(error),
            Stored::Retry { at, error } => CompletionOutcome::Retry { at, error },
        };
        Ok(Self { step, outcome })
    }
}

/// The stored form beside the step. Payloads are strings in it: JSON inside JSON would lose the white space around it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    Resume { data: String },
    Succeed { output: Option<String> },
    Fail { error: ErrorText },
    Retry { at: Timestamp, error: ErrorText },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_form_round_trips_byte_for_byte() {
        let data = Payload::from_json("  { \"a\": [1.0,  \"\\u00e9\"] }\n ").unwrap();
        let error = ErrorText::new("no");
        for outcome in [
            CompletionOutcome::Resume(data.clone()),
            CompletionOutcome::Succeed(Some(data)),
            CompletionOutcome::Succeed(None),
            CompletionOutcome::Succeed(Some(Payload::null())),
            CompletionOutcome::Fail(error.clone()),
            CompletionOutcome::Retry {
                at: Timestamp::MAX,
                error,
            },
        ] {
            let completion = Completion { step: 7, outcome };
            assert_eq!(
                Completion::from_stored(&completion.to_stored()).unwrap(),
                completion
            );
        }
        assert!(Completion::from_stored("[1]").is_err());
    }

    #[test]
    fn tokens_round_trip_and_hide_their_secret() {
        let token = WaitToken {
            task: TaskId::child(TaskId::MIN, 0, 0, 0),
            step: 12,
            secret: u64::MAX - 1,
        };
        assert_eq!(token.to_string().parse::<WaitToken>().unwrap(), token);
        assert!(!format!("{token:?}").contains("fffe"));
        for text in [
            "",
            "a.b.c",
            "0.0.0.0",
            &format!("{}.-1.0000000000000000", token.task),
        ] {
            assert!(text.parse::<WaitToken>().is_err(), "{text}");
        }
    }
}

//! Why a rule was refused, and where.

use std::convert::Infallible;
use std::fmt;

use super::types::{FIELDS, FUNCTIONS};
use crate::limits::{MAX_RULE_BYTES, MAX_RULE_DEPTH};

/// A rule that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidRule {
    /// The rule as it was given.
    pub rule: String,
    /// Where the problem is: the character in the rule, counted from 1.
    pub column: usize,
    /// What it is.
    pub problem: RuleProblem,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleProblem {
    /// It has more bytes than [`MAX_RULE_BYTES`].
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// Its parts are nested deeper than [`MAX_RULE_DEPTH`].
    TooDeep,
    /// Something else must stand here.
    Syntax {
        /// What stands here.
        found: String,
        /// What may stand here.
        expected: &'static str,
    },
    /// There is no such field.
    UnknownField(String),
    /// There is no such function.
    UnknownFunction(String),
    /// There is no such priority or state, so nothing is ever equal to it.
    UnknownName {
        /// What was given.
        found: String,
        /// `priority` or `state`.
        field: &'static str,
        /// What there is.
        names: Vec<&'static str>,
    },
    /// It has the wrong type.
    Type {
        /// What it is.
        found: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A number or a duration that cannot be read.
    Literal {
        /// What was given.
        found: String,
        /// How it is written.
        expected: &'static str,
    },
}

impl InvalidRule {
    pub(super) fn new(rule: &str, at: usize, problem: RuleProblem) -> Self {
        let column = 1 + rule.char_indices().take_while(|(index, _)| *index < at).count();
        // A rule that is far too long is not repeated whole.
        let rule = rule.chars().take(MAX_RULE_BYTES).collect();
        Self {
            rule,
            column,
            problem,
        }
    }
}

impl From<Infallible> for InvalidRule {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            column,
            problem,
        } = self;
        match problem {
            RuleProblem::TooLong { .. } => write!(f, "the alert rule is too long: {problem}"),
            _ => write!(
                f,
                "the alert rule `{rule}` is wrong at character {column}: {problem}"
            ),
        }
    }
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => write!(f, "{bytes} bytes, at most {MAX_RULE_BYTES} are allowed"),
            Self::TooDeep => write!(f, "it is nested deeper than {MAX_RULE_DEPTH} levels"),
            Self::Syntax { found, expected } => write!(f, "{found} stands where {expected} is expected"),
            Self::UnknownField(name) => {
                write!(f, "there is no field `{name}`; the fields are")?;
                list(f, FIELDS.iter().map(|(name, _, _)| *name))
            }
            Self::UnknownFunction(name) => {
                write!(f, "there is no function `{name}`; the functions are")?;
                list(f, FUNCTIONS.iter().copied())
            }
            Self::UnknownName { found, field, names } => {
                write!(f, "there is no {field} {found:?}; there are")?;
                list(f, names.iter().copied())
            }
            Self::Type { found, expected } => write!(f, "this is {found}; it must be {expected}"),
            Self::Literal { found, expected } => {
                write!(f, "{found} cannot be read; it is written as {expected}")
            }
        }
    }
}

fn list<'a>(f: &mut fmt::Formatter<'_>, names: impl Iterator<Item = &'a str>) -> fmt::Result {
    for (index, name) in names.enumerate() {
        write!(f, "{} `{name}`", if index == 0 { "" } else { "," })?;
    }
    Ok(())
}

impl std::error::Error for InvalidRule {}

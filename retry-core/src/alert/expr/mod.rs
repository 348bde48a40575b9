//! Alert rules as text: a strict subset of the Common Expression Language (CEL).
//!
//! What is accepted means exactly what it means in CEL; what is not accepted is refused when the rule is parsed, with the
//! place and what is allowed. Field names and types are checked then, too, so that judging cannot fail: it reads no clock,
//! has no loops and no regular expressions, and its cost is bounded by the rule's length times that of an error text.

mod error;
mod eval;
mod lexer;
mod parser;
mod types;

pub use error::{InvalidRule, RuleProblem};

use super::rule::Facts;
use crate::limits::MAX_RULE_BYTES;
use eval::Value;
use types::{Node, Type};

/// A parsed and checked rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expression(Node);

impl Expression {
    /// Reads a rule: a text of at most [`MAX_RULE_BYTES`] whose value is true or false.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidRule> {
        let invalid = |(at, problem)| InvalidRule::new(text, at, problem);
        if text.len() > MAX_RULE_BYTES {
            let bytes = text.len();
            return Err(invalid((0, RuleProblem::TooLong { bytes })));
        }
        let tokens = lexer::tokens(text).map_err(invalid)?;
        let whole = parser::parse(tokens).map_err(invalid)?;
        match whole.ty {
            Type::Bool => Ok(Self(whole.node)),
            found => Err(invalid((
                whole.at,
                RuleProblem::Type {
                    found: found.name(),
                    expected: "a condition, which is true or false",
                },
            ))),
        }
    }

    /// Whether the facts fit the rule.
    pub(super) fn fits(&self, facts: &Facts<'_>) -> bool {
        eval::eval(&self.0, facts) == Value::Bool(true)
    }
}

#[cfg(test)]
mod cel_test;
#[cfg(test)]
mod tests;

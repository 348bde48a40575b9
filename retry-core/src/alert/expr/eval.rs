//! The value of a checked rule.

use std::time::Duration;

use super::types::{Comparison, Field, Node, Search};
use crate::alert::rule::Facts;

/// The value of a part. Parts that are compared have the same type.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) enum Value<'a> {
    Bool(bool),
    Int(i64),
    Text(&'a str),
    /// In milliseconds.
    Duration(i64),
}

impl<'a> Value<'a> {
    const fn is_true(self) -> bool {
        matches!(self, Self::Bool(true))
    }

    const fn text(self) -> &'a str {
        match self {
            Self::Text(text) => text,
            // The parser lets only texts through here.
            Self::Bool(_) | Self::Int(_) | Self::Duration(_) => "",
        }
    }
}

pub(super) fn eval<'a>(node: &'a Node, facts: &Facts<'a>) -> Value<'a> {
    match node {
        Node::Bool(value) => Value::Bool(*value),
        Node::Int(value) => Value::Int(*value),
        Node::Text(value) => Value::Text(value),
        Node::Duration(millis) => Value::Duration(*millis),
        Node::Field(field) => read(*field, facts),
        Node::Not(inner) => Value::Bool(!eval(inner, facts).is_true()),
        Node::And(left, right) => Value::Bool(eval(left, facts).is_true() && eval(right, facts).is_true()),
        Node::Or(left, right) => Value::Bool(eval(left, facts).is_true() || eval(right, facts).is_true()),
        Node::Compare(how, left, right) => Value::Bool(compare(*how, eval(left, facts), eval(right, facts))),
        Node::In(item, list) => {
            let item = eval(item, facts);
            Value::Bool(list.iter().any(|one| eval(one, facts) == item))
        }
        Node::Remainder(number, divisor) => match eval(number, facts) {
            Value::Int(number) => Value::Int(number % divisor),
            other => other,
        },
        Node::Search(how, target, part) => {
            let (target, part) = (eval(target, facts).text(), eval(part, facts).text());
            Value::Bool(match how {
                Search::Contains => target.contains(part),
                Search::StartsWith => target.starts_with(part),
                Search::EndsWith => target.ends_with(part),
            })
        }
    }
}

fn read<'a>(field: Field, facts: &Facts<'a>) -> Value<'a> {
    match field {
        Field::Attempts => Value::Int(facts.attempts.into()),
        Field::Crashes => Value::Int(facts.crashes.into()),
        Field::Reruns => Value::Int(facts.reruns.into()),
        Field::Kind => Value::Text(facts.kind),
        Field::Queue => Value::Text(facts.queue),
        Field::Priority => Value::Text(facts.priority),
        Field::State => Value::Text(facts.state.as_str()),
        Field::Error => Value::Text(facts.error),
        Field::Age => Value::Duration(millis(facts.age)),
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn compare(how: Comparison, left: Value<'_>, right: Value<'_>) -> bool {
    match how {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
    }
}

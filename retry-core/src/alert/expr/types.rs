//! What a rule may speak of: fields, functions, and the checked tree.

use crate::priority::Priority;
use crate::task::State;

/// The type of a part of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Int,
    Text,
    Duration,
}

impl Type {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "a condition",
            Self::Int => "a number",
            Self::Text => "a text",
            Self::Duration => "a duration",
        }
    }
}

/// A field of the facts that are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Attempts,
    Crashes,
    Reruns,
    Kind,
    Queue,
    Priority,
    State,
    Error,
    Age,
}

/// Every field by its name, with its type.
pub(super) const FIELDS: &[(&str, Field, Type)] = &[
    ("attempts", Field::Attempts, Type::Int),
    ("crashes", Field::Crashes, Type::Int),
    ("reruns", Field::Reruns, Type::Int),
    ("kind", Field::Kind, Type::Text),
    ("queue", Field::Queue, Type::Text),
    ("priority", Field::Priority, Type::Text),
    ("state", Field::State, Type::Text),
    ("error", Field::Error, Type::Text),
    ("age", Field::Age, Type::Duration),
];

impl Field {
    /// What there is of a field that has a few names only: what they are called, and the names.
    pub(super) fn names(self) -> Option<(&'static str, Vec<&'static str>)> {
        match self {
            Self::Priority => Some(("priority", Priority::ALL.map(Priority::as_str).to_vec())),
            Self::State => Some(("state", State::ALL.map(State::as_str).to_vec())),
            Self::Attempts
            | Self::Crashes
            | Self::Reruns
            | Self::Kind
            | Self::Queue
            | Self::Error
            | Self::Age => None,
        }
    }
}

/// What compares a text with a part of it, in the order of [`Search`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    Contains,
    StartsWith,
    EndsWith,
}

impl Search {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "contains" => Some(Self::Contains),
            "startsWith" => Some(Self::StartsWith),
            "endsWith" => Some(Self::EndsWith),
            _ => None,
        }
    }
}

/// Every function, for the message about an unknown one.
pub(super) const FUNCTIONS: &[&str] = &["contains", "startsWith", "endsWith", "duration"];

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) fn of(symbol: &str) -> Option<Self> {
        match symbol {
            "==" => Some(Self::Equal),
            "!=" => Some(Self::NotEqual),
            "<" => Some(Self::Less),
            "<=" => Some(Self::LessOrEqual),
            ">" => Some(Self::Greater),
            ">=" => Some(Self::GreaterOrEqual),
            _ => None,
        }
    }

    pub(super) const fn needs_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}

/// A part of a checked rule: the types of its parts fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Bool(bool),
    Int(i64),
    Text(String),
    /// In milliseconds.
    Duration(i64),
    Field(Field),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    In(Box<Self>, Vec<Self>),
    /// The divisor is a number other than 0 and −1.
    Remainder(Box<Self>, i64),
    Search(Search, Box<Self>, Box<Self>),
}

/// A part with its type and its place.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) node: Node,
    pub(super) ty: Type,
    pub(super) at: usize,
}

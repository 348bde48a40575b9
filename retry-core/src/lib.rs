#![doc = include_str!("../README.md")]

// In reading order: data, the machine that changes it, the contract of its keepers, the engine.
pub mod limits;

pub mod headers;
pub mod id;
pub mod name;
pub mod payload;
pub mod priority;
mod span;
pub mod time;

pub mod policy;
pub mod task;

pub mod draft;
pub mod machine;

pub mod clock;
pub mod seams;
pub mod store;
pub mod why;

pub mod alert;
pub mod batch;
pub mod executor;
pub mod propagate;
pub mod sharded;

mod meters;

pub mod client;
pub mod engine;

pub mod outbox;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

//! The core.

pub mod client;
pub mod clock;
pub mod draft;
pub mod executor;
pub mod headers;
pub mod id;
pub mod limits;
pub mod machine;
pub mod name;
pub mod payload;
pub mod policy;
pub mod priority;
pub mod seams;
pub mod store;
pub mod task;
pub mod time;

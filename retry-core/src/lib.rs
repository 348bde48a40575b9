//! The core.

pub mod clock;
pub mod headers;
pub mod id;
pub mod limits;
pub mod machine;
pub mod name;
pub mod payload;
pub mod policy;
pub mod priority;
pub mod store;
pub mod task;
pub mod time;

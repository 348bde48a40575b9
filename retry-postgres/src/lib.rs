#![doc = include_str!("../README.md")]

mod apply;
mod aside;
mod at_once;
mod board;
mod call;
mod candidates;
mod claim;
mod config;
mod connect;
mod count;
mod effects;
mod ended;
mod enlist;
mod error;
mod existing;
mod hints;
mod insert;
mod lanes;
mod memo;
mod note;
mod outbox;
mod pace;
mod parents;
#[doc(hidden)]
pub mod plans;
mod pool;
mod purge;
mod queries;
mod queues;
mod read;
mod record;
mod rescue;
mod rows;
mod schema;
mod schema_name;
mod sessions;
mod settings;
mod store;
mod transact;
mod tx;
mod types;
mod wait;

pub use config::{ConfigError, OpenError, PostgresBuilder};
pub use outbox::{PostgresOutbox, PostgresOutboxBuilder};
pub use store::PostgresStore;
pub use transact::PostgresTransaction;

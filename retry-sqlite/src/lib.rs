#![doc = include_str!("../README.md")]

mod apply;
mod aside;
mod calls;
mod candidates;
mod claim;
mod config;
mod connect;
mod count;
mod dropped;
mod effects;
mod enlist;
mod error;
mod found;
mod group;
mod guard;
mod insert;
mod insert_many;
mod job;
mod lanes;
mod memo;
mod note;
mod outbox;
mod parents;
mod patience;
mod purge;
mod queries;
mod queues;
mod read;
mod readers;
mod record;
mod rescue;
mod schema;
mod session_lock;
mod sessions;
mod settle;
mod start;
mod store;
mod sync;
mod transaction;
mod turn;
mod upkeep;
mod watcher;
mod writer;

pub use config::{ConfigError, OpenError, SqliteBuilder, Synchronous};
pub use outbox::{SqliteOutbox, SqliteOutboxBuilder};
pub use store::SqliteStore;
pub use transaction::TRANSACTION_LIMIT;

#[cfg(test)]
mod plan_test;

#![doc = include_str!("../README.md")]

mod apply;
mod args;
mod aside;
mod calls;
mod candidates;
mod claim;
mod config;
mod count;
mod db;
mod effects;
mod enlist;
mod error;
mod hot;
mod insert;
mod lanes;
mod leases;
mod load;
mod note;
mod parents;
mod pool;
mod purge;
mod queries;
mod queues;
mod read;
mod record;
mod rescue;
mod rows;
mod schema;
mod server;
mod sessions;
mod settings;
mod store;
mod watcher;
mod write;

pub use config::{ConfigError, MySqlBuilder, OpenError, Tls};
pub use store::MySqlStore;

#![doc = include_str!("../README.md")]

mod args;
mod aside;
mod claim;
mod codec;
mod config;
mod connect;
mod edit;
mod error;
mod hangup;
mod insert;
mod keys;
mod link;
mod list;
mod purge;
mod queues;
mod read;
mod record;
mod reply;
mod rescue;
mod schema;
mod scripts;
mod server;
mod sessions;
mod store;
mod texts;
mod tls;
mod watcher;

pub use config::{ConfigError, OpenError, RedisBuilder, Refused};
pub use store::RedisStore;

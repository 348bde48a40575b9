#![doc = include_str!("../README.md")]

pub mod limits;
mod message;
mod meters;
mod queue;
pub mod relay;
mod sink;

#[cfg(feature = "kafka")]
mod batches;
#[cfg(feature = "rabbitmq")]
mod confirms;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(any(feature = "nats", feature = "rabbitmq", feature = "redis-streams"))]
mod pem;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
#[cfg(feature = "redis-streams")]
mod redis_streams;
#[cfg(any(
    feature = "kafka",
    feature = "nats",
    feature = "rabbitmq",
    feature = "redis-streams"
))]
mod shared;
#[cfg(any(feature = "http", feature = "rabbitmq"))]
mod within;

#[cfg(feature = "http")]
pub use http::{HttpSink, HttpSinkBuilder};
#[cfg(feature = "kafka")]
pub use kafka::{KafkaSink, KafkaSinkBuilder, NoBrokers};
pub use message::{FENCE_HEADER, InvalidMessage, KEY_HEADER, Message, Outgoing, TASK_ID_HEADER};
#[cfg(feature = "nats")]
pub use nats::{InvalidNats, NatsSink, NatsSinkBuilder};
pub use queue::{InvalidQueue, SinkQueue};
#[cfg(feature = "rabbitmq")]
pub use rabbitmq::{InvalidRabbit, RabbitSink, RabbitSinkBuilder};
#[cfg(feature = "redis-streams")]
pub use redis_streams::{InvalidRedis, RedisStreamsSink, RedisStreamsSinkBuilder};
pub use relay::{BuildError, Counts, Relay, RelayBuilder, RelayHandle, StartError};
pub use sink::{Answer, MessageSink, Reason};

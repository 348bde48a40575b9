//! Every bound of this crate, with its reason. Exceeding one is an error before anything is written.

use std::time::Duration;

/// Partitions of a [`SinkQueue`](crate::SinkQueue) unless told otherwise: enough that a few processes share the keys.
pub const DEFAULT_PARTITIONS: u16 = 16;

/// Partitions of a [`SinkQueue`](crate::SinkQueue) at most: each is a queue that its owner looks into.
pub const MAX_PARTITIONS: u16 = 256;

/// Bytes of a topic at most: the shortest of the brokers' own bounds (Kafka's 249).
pub const MAX_TOPIC_BYTES: usize = 249;

/// Bytes of a message's key at most: it travels as a header too, and brokers bound those (AMQP's short strings).
pub const MAX_KEY_BYTES: usize = 255;

/// Messages that a partition's owner holds at once, claimed and not settled. What it holds comes back at once when it is
/// lost, and its outcomes fit one exchange, the longest error texts included.
pub const MAX_HELD: usize = 500;

/// Messages of one call of a sink at most, unless the sink asks for fewer.
pub const MAX_WAVE: usize = 100;

/// Bytes of the bodies of one call of a sink, beyond which it gets no further message.
pub const MAX_WAVE_BYTES: usize = 4 * 1024 * 1024;

/// The longest a call of a sink may be allowed to take; a shutdown waits for it.
pub const MAX_PUBLISH_TIMEOUT: Duration = Duration::from_mins(5);

/// How long a sink waits for the broker's word on one message unless told otherwise: well within what a relay gives a call,
/// so that a message that hangs costs the others of its call nothing.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a record batch for Kafka unless told otherwise: less than what a broker takes by its own defaults
/// (`message.max.bytes`, 1 MiB and 12 bytes), the head of the batch included.
pub const MAX_KAFKA_BATCH_BYTES: usize = 960 * 1024;

/// Bytes of the bodies that a partition's owner holds, from which on it claims nothing more. One claim, of 8 MiB at most, may
/// exceed it.
pub const MAX_HELD_BYTES: usize = 16 * 1024 * 1024;

#![doc = include_str!("../README.md")]

pub mod limits;
mod message;
mod queue;
pub mod relay;
mod sink;


pub use message::{FENCE_HEADER, InvalidMessage, KEY_HEADER, Message, Outgoing, TASK_ID_HEADER};
pub use queue::{InvalidQueue, SinkQueue};
pub use relay::{BuildError, Relay, RelayBuilder, RelayHandle};
pub use sink::{Answer, MessageSink, Reason};

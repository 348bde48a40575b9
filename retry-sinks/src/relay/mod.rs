//! The relay: hands the messages of a [`SinkQueue`] over to a sink, those of a key in order.
//!
//! Each partition of the keys has an *owner task*, an ordinary task that a relay's worker claims and runs for a while. Who
//! runs it owns the partition: exclusive by law 3 of the store's contract, fenced by its version. The owner claims the
//! partition's messages in order under a session of its own, sends the next message of a key when the one before is
//! acknowledged, and settles what is acknowledged together with the next claim. The proof that order holds is in
//! `docs/design/sinks.md`.

mod builder;
mod claims;
mod executors;
mod handle;
mod outcomes;
mod owners;
mod part;
mod publish;
mod session;
mod start;
mod takeover;
mod turn;
mod window;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use retry_core::policy::RetryPolicy;
use tokio_util::sync::CancellationToken;

pub use builder::{BuildError, Relay, RelayBuilder};
pub use handle::{Counts, RelayHandle};
pub use owners::StartError;

use self::handle::Counters;
use crate::queue::SinkQueue;
use crate::sink::MessageSink;

/// The name of a topic at the broker, made of that in the message.
type Naming = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// How a relay works.
#[derive(Clone)]
struct Options {
    turn: Duration,
    idle_poll: Duration,
    publish_timeout: Duration,
    backoff: RetryPolicy,
    naming: Naming,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("turn", &self.turn)
            .field("idle_poll", &self.idle_poll)
            .field("publish_timeout", &self.publish_timeout)
            .finish_non_exhaustive()
    }
}

/// What everything in a running relay shares.
#[derive(Debug)]
struct Shared {
    queue: SinkQueue,
    sink: Arc<dyn MessageSink>,
    options: Options,
    counts: Counters,
    /// Told when the relay is to stop.
    stop: CancellationToken,
}

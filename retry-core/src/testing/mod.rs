//! A test kit for handlers: the real worker on the store in memory under a clock that the test moves, and faults that strike
//! where you say, or everywhere.
//!
//! Nothing here depends on the machine's time or chance: the same seed gives the same run, and hours of retries pass in
//! milliseconds.
//!
//! ```
//! # use retry_core as task_retry;
//! # use task_retry::draft::TaskPayload;
//! # use serde::{Deserialize, Serialize};
//! use task_retry::executor::{Ctx, State};
//! use task_retry::task;
//! use task_retry::testing::TestKit;
//! use std::sync::{Arc, Mutex};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Welcome { email: String }
//! # impl TaskPayload for Welcome { const KIND: &'static str = "welcome"; }
//! type Outbox = Arc<Mutex<Vec<String>>>;
//!
//! async fn welcome(task: Welcome, ctx: Ctx, State(outbox): State<Outbox>) -> Result<(), std::io::Error> {
//!     if ctx.attempt() < 3 {
//!         return Err(std::io::Error::other("the mail server is busy"));
//!     }
//!     outbox.lock().unwrap().push(task.email);
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let outbox = Outbox::default();
//! let kit = TestKit::new().handler(welcome).state(outbox.clone());
//! let id = kit.enqueue(Welcome { email: "ada@example.com".into() }).await;
//! kit.assert_enqueued::<Welcome>(|task| task.email.starts_with("ada"));
//! kit.drain().await.assert_done();
//! kit.assert_state(id, task::State::Succeeded);
//! assert_eq!(kit.task(id).failures.len(), 2);
//! assert_eq!(*outbox.lock().unwrap(), ["ada@example.com"]);
//! # }
//! ```
//!
//! # Faults
//!
//! A worker can die, stand still, or lose an answer at any moment, and then the handler runs again:
//! [`TestKit::fault`] makes one of these happen at a place you choose, and [`assert_idempotent`] at every place there is,
//! one after another, each in a world of its own.
//!
//! # What is covered, and what is not
//!
//! - Faults strike where a handler's future has to wait (an *await point*) and at its end. Between two await points nothing
//!   can come between on one thread; code there is as exposed to a real crash as any, so a crash in the middle of a
//!   `println!`, or between two blocking writes, is not tried.
//! - Handlers may use real asynchronous I/O: the kit waits for it in real time, up to [`TestKit::patience`] for each wait,
//!   while the clock stands. How many await points real I/O has may differ from run to run; those that a run does not
//!   reach are passed over.
//! - What a handler hands to another thread or spawns on the runtime is not dropped by a crash.
//! - A handler that asks [`SystemClock`](crate::clock::SystemClock) or the runtime for the time gets real time; give it
//!   [`TestKit::clock`].
//! - The store is [`MemoryStore`](crate::store::MemoryStore), which the conformance suite proves to answer as the others do;
//!   transactions of a database are not simulated, see [`MemoryTransaction`](crate::store::MemoryTransaction).
//! - Nothing is purged, however much time passes.

mod clock;
mod desk;
mod drained;
mod exec;
mod fault;
mod idempotence;
mod kit;
mod look;
mod probe;
mod store;
mod world;

#[cfg(test)]
mod tests;

pub use desk::{Run, RunEnd};
pub use drained::{Drained, Open, Why};
pub use fault::Fault;
pub use idempotence::{Idempotent, NotIdempotent, assert_idempotent, assert_idempotent_at, check_idempotent};
pub use kit::TestKit;
pub use world::Stopped;

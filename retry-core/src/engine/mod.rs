//! The engine: a worker claims due tasks under a lease, runs their handlers and records the outcomes.
//!
//! # Loops
//!
//! Each is a small state of its own with a `step()` that does one round and says when it wants to run next, so that a
//! simulation can drive it. `drive.rs` is the only code that turns steps into a running loop.
//!
//! | loop | owns | does |
//! |---|---|---|
//! | pump | the one exchange in flight | sends gathered outcomes and claims for free permits plus a bounded prefetch |
//! | detour | what waits for a unique key in somebody else's open transaction | tries it again, so that the pump goes on with the rest |
//! | heartbeat | the session | renews it, cancels on request, reconciles what is held |
//! | watchdog | the lease's end | tells the handlers when it comes, whatever the heartbeat waits for |
//! | rescuer | the round of expired tasks | settles lost leases and due alarms, of any worker and any kind |
//! | maintainer | – | purges what is past its retention |
//! | inspector | what it has seen | looks for tasks that do not start or do not end, in all parts at once; only where somebody listens |
//! | herald | what waits for its sink | hands alerts to it; one for each sink, for all parts |
//!
//! Attempts run in futures of their own (`runner.rs`), where the worker was started, or in that of a caller (`inline.rs`);
//! each in the same frame (`frame.rs`), which also sees to those whose future is dropped. They meet the loops only in `Part` (`part.rs`): what is held,
//! what waits for a permit, what waits to be written.
//!
//! # Tasks born here
//!
//! An attached client keeps a place for a task before it is inserted (`reserve.rs`): a permit, and a hold that is *expected*.
//! As long as it is, the heartbeat neither counts it nor gives it up nor hands it back, because the store may have it or
//! not: its transaction is open. Then the task is born, and held like a claimed one; or the place is given back, and should the
//! row be there after all, the heartbeat meets a task that it does not know, and hands it back.
//!
//! # Leases
//!
//! A session's lease is counted on the monotonic clock from when its renewal was *sent*. When it ends locally, handlers
//! are cancelled (or told nothing, by kind) and nothing new starts; a new session is opened only after the store said
//! that the old one is lost. Every write carries the task's version, so a late one is refused, never harmful.

mod alerts;
mod answers;
mod attempt;
mod blocked;
mod buffer;
mod build_error;
mod builder;
mod config;
mod detour;
mod drive;
mod dry_run;
mod frame;
mod handle;
mod health;
mod heartbeat;
mod held;
mod herald;
mod inline;
mod inspector;
mod kind;
mod lease;
mod look;
mod mailbox;
mod maintainer;
mod marks;
mod outgoing;
mod part;
mod permits;
mod pump;
mod quick;
mod refusal;
mod rescuer;
mod reserve;
mod room;
mod round;
mod runnable;
mod runner;
mod session;
mod settle;
mod sources;
mod teller;
mod tick;
mod watchdog;
mod window;
mod worker;

#[cfg(test)]
pub(crate) mod tests;

pub use build_error::BuildError;
pub use builder::{HandledTask, IntoStore, WorkerBuilder};
pub use config::WorkerConfig;
#[cfg(feature = "config")]
pub use config::{ConfigError, ConfigOption, OPTIONS};
pub use dry_run::DryRun;
pub use handle::WorkerHandle;
pub(crate) use inline::{Tried, run_inline, settle_tried, try_run};
pub use kind::{KindOptions, OnLeaseLost};
pub(crate) use reserve::{Attachment, Reservation, as_claimed, born};
pub(crate) use teller::Recorded;
pub use tick::{Skipped, TickEnd, TickOptions, TickSummary};
pub use window::ScanWindow;
pub use worker::Worker;

//! A seeded simulation of the engine: real clients and workers on a store that fails in every way it may.
//!
//! One thread, one seed: the same seed gives the same trace. Each history is chaos, then healing, then everything must
//! end; every promise of `sim/invariants` is checked at every step.

mod actors;
mod alerts;
mod author;
pub mod campaign;
mod carrier;
pub mod command;
mod config;
mod cover;
mod cover_facts;
mod exec;
mod fact;
mod facts;
mod fault;
mod features;
mod fleet;
mod handler;
mod invariants;
mod link;
mod outbox;
mod phases;
mod power;
mod program;
mod relays;
mod report;
mod rng;
mod script;
mod server;
mod sharded;
mod shared;
mod shrink;
mod telling;
mod trace;
mod weather;
mod world;

pub use config::Options;
pub use cover::{Coverage, Sometimes};
pub use features::{Feature, Features};
pub use shared::Violation;
pub use shrink::shrink;

/// How a history ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct History {
    /// The first promise it broke.
    pub violation: Option<Violation>,
    /// The end of the trace's hash chain.
    pub hash: u64,
    /// Events in the trace.
    pub events: u64,
    /// The trace, if it was asked for.
    pub lines: Vec<String>,
    /// What it hit.
    pub coverage: Coverage,
    /// Virtual milliseconds.
    pub millis: u64,
}

/// Lives one history.
#[must_use]
pub fn run(options: &Options) -> History {
    let mut world = world::World::new(options);
    world.live();
    let shared = std::sync::Arc::clone(&world.shared);
    let millis = u64::try_from(shared.now().since_start().as_millis()).unwrap_or(u64::MAX);
    let (violation, hash, events, lines, coverage) = shared.finish();
    History {
        violation,
        hash,
        events,
        lines,
        coverage,
        millis,
    }
}

//! The relay on a store and an outbox in memory and a clock moved by hand: killed, stalled and lied to at every step.

mod harness;

mod crashes;
#[cfg(feature = "metrics")]
mod metrics;
mod outcomes;
mod poison;
mod rows;
mod upkeep;
mod zombies;

#![doc = include_str!("../README.md")]

pub mod cases;
pub mod crowd;
mod describe;
mod documented;
pub mod fixture;
pub mod harness;
pub mod invariants;
pub mod laws;
pub mod model;
pub mod mutants;
pub mod outbox;
pub mod runner;
pub mod sharded;
pub mod sim;
pub mod verdict;

pub use harness::{Capabilities, Difference, Harness, Instance, Skip, TransactionEnd};
pub use runner::{run, run_all, trials};

//! Generated histories, run on the store under test and on an independent model.
//!
//! A history is a list of operations: inserts with duplicates and replaces, claims of every shape, settles of every
//! kind, splits, completions, cancels, reruns, rescues, sessions that come and go, pauses, purges, crashes, lost answers,
//! dropped calls, damaged rows, time that jumps both ways. Every answer is compared with the model's, and after every call
//! everything that is stored. What fails is shrunk to the shortest history that still does.
//!
//! A concurrent history makes the same calls from several clients at once; its answers must have a sequential order.
//!
//! `RETRY_CONFORMANCE_CASES` sets how many histories a run checks, `RETRY_CONFORMANCE_SEED` which: the same seed gives the
//! same histories.

mod batches;
mod call;
mod compare;
mod concurrent;
mod damage;
mod explore;
mod features;
mod history;
mod op;
mod reads;
mod reference;
mod side_by_side;
mod some;
mod spec;
mod unknown;
mod workers;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::side_by_side::SideBySide;

use self::explore::{Explored, Plan, Trying, explore};
use crate::harness::{Capabilities, Harness};
use crate::runner::{Unpassed, runtime};
use crate::verdict::Failure;

/// What a generated history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// One call after the other.
    Sequential,
    /// Several clients at once.
    Concurrent,
}

impl Sort {
    /// The name of its test.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sequential => "model::histories",
            Self::Concurrent => "model::concurrent",
        }
    }

    /// How many histories a run checks.
    #[must_use]
    pub fn histories(self, capabilities: Capabilities) -> u32 {
        // A concurrent history costs about four times as much.
        let default = match self {
            Self::Sequential => capabilities.histories,
            Self::Concurrent => capabilities.histories.div_ceil(4),
        };
        from_env("RETRY_CONFORMANCE_CASES").unwrap_or(default)
    }
}

fn from_env<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Checks generated histories.
///
/// # Errors
/// An answer is not one that the model allows, or there is no store.
pub fn check(harness: &Arc<dyn Harness>, sort: Sort) -> Result<(), Unpassed> {
    let seed: u64 = from_env("RETRY_CONFORMANCE_SEED").unwrap_or(0);
    check_seed(harness, sort, seed, sort.histories(harness.capabilities())).map(drop)
}

/// What happened in how many histories.
pub type Reached = BTreeMap<String, u32>;

/// Checks the first `cases` histories of a seed and tells what happened in them.
///
/// # Errors
/// An answer is not one that the model allows, or there is no store.
pub fn check_seed(
    harness: &Arc<dyn Harness>,
    sort: Sort,
    seed: u64,
    cases: u32,
) -> Result<Reached, Unpassed> {
    let shrink = true;
    match explored(harness, sort, Plan { seed, cases, shrink })? {
        Explored::Held(reached) => Ok(reached),
        Explored::Broken(_, failure) => Err(with_command(*failure, harness.name(), sort, seed, cases)),
    }
}

/// Which of the first `cases` histories of a seed is the first that fails, counted from one.
///
/// # Errors
/// There is no store.
pub fn first_failure(
    harness: &Arc<dyn Harness>,
    sort: Sort,
    seed: u64,
    cases: u32,
) -> Result<Option<u32>, Unpassed> {
    let shrink = false;
    match explored(harness, sort, Plan { seed, cases, shrink })? {
        Explored::Held(_) => Ok(None),
        Explored::Broken(after, _) => Ok(Some(after)),
    }
}

fn explored(harness: &Arc<dyn Harness>, sort: Sort, plan: Plan) -> Result<Explored, Unpassed> {
    let runtime = runtime();
    let explored = match sort {
        Sort::Sequential => explore(&op::histories(), plan, |ops, _| {
            runtime.block_on(history::run(&**harness, ops))
        }),
        Sort::Concurrent => explore(&concurrent::histories(), plan, |parts, trying| {
            // The same calls may meet another schedule: a shorter history gets several chances to fail.
            let tries = if trying == Trying::First { 1 } else { 6 };
            let mut ran = Ok(history::Features::new());
            for _ in 0..tries {
                ran = runtime.block_on(concurrent::run(&**harness, parts));
                if ran.is_err() {
                    break;
                }
            }
            ran
        }),
    };
    runtime.shutdown_background();
    explored.map_err(Unpassed::Skipped)
}

fn with_command(mut failure: Failure, name: &str, sort: Sort, seed: u64, cases: u32) -> Unpassed {
    let test = sort.name();
    failure.trail.push(format!(
        "(the shortest history found that fails; repeat with RETRY_CONFORMANCE_SEED={seed} \
         RETRY_CONFORMANCE_CASES={cases} cargo test --test conformance -- {name}::{test})"
    ));
    Unpassed::from(failure)
}

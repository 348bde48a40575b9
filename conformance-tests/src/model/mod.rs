//! Generated histories, run on the store under test and on an independent model.
//!
//! A history is a list of operations: inserts with duplicates and replaces, claims of every shape, settles of every
//! kind, splits, completions, cancels, reruns, rescues, sessions that come and go, pauses, purges, crashes, time. Every
//! answer is compared with the model's, and after every call everything that is stored. What fails is shrunk to the
//! shortest history that still does.
//!
//! `RETRY_CONFORMANCE_CASES` sets how many histories a run checks, `RETRY_CONFORMANCE_SEED` which: the same seed gives the
//! same histories.

mod call;
mod compare;
mod features;
mod history;
mod op;
mod reads;
mod reference;
mod spec;
mod workers;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::harness::{Capabilities, Harness};
use crate::runner::{Unpassed, runtime};
use crate::verdict::Failure;

/// How many histories a run checks.
#[must_use]
pub fn histories(capabilities: Capabilities) -> u32 {
    from_env("RETRY_CONFORMANCE_CASES").unwrap_or(capabilities.histories)
}

fn from_env<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Checks generated histories.
///
/// # Errors
/// The store's answer differs from the model's, or there is no store.
pub fn check(harness: &Arc<dyn Harness>) -> Result<(), Unpassed> {
    let seed: u64 = from_env("RETRY_CONFORMANCE_SEED").unwrap_or(0);
    check_seed(harness, seed, histories(harness.capabilities())).map(drop)
}

/// What happened in how many histories.
pub type Reached = BTreeMap<String, u32>;

/// Checks the first `cases` histories of a seed and tells what happened in them.
///
/// # Errors
/// The store's answer differs from the model's, or there is no store.
pub fn check_seed(harness: &Arc<dyn Harness>, seed: u64, cases: u32) -> Result<Reached, Unpassed> {
    let runtime = runtime();
    let reached = RefCell::new(Reached::new());
    // Without a store there is nothing to shrink.
    runtime.block_on(history::run(&**harness, &[]))?;
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 3_000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&op::histories(), |ops| {
        match runtime.block_on(history::run(&**harness, &ops)) {
            Ok(features) => {
                let mut reached = reached.borrow_mut();
                features
                    .into_iter()
                    .for_each(|name| *reached.entry(name).or_default() += 1);
                Ok(())
            }
            Err(Unpassed::Failed(failure)) => Err(TestCaseError::fail(failure.what)),
            Err(Unpassed::Skipped(skip)) => Err(TestCaseError::fail(skip.to_string())),
        }
    });
    let result = match outcome {
        Ok(()) => Ok(reached.take()),
        Err(TestError::Abort(reason)) => Err(unrepeatable(reason.message())),
        Err(TestError::Fail(reason, ops)) => match runtime.block_on(history::run(&**harness, &ops)) {
            Err(unpassed) => Err(with_command(unpassed, harness.name(), seed, cases)),
            Ok(_) => Err(unrepeatable(reason.message())),
        },
    };
    runtime.shutdown_background();
    result
}

fn unrepeatable(reason: &str) -> Unpassed {
    Unpassed::from(Failure::new(
        "",
        "a generated history",
        format!("failed once ({reason}) and passed when it was run again"),
        "the same answers to the same calls",
    ))
}

fn with_command(unpassed: Unpassed, name: &str, seed: u64, cases: u32) -> Unpassed {
    let Unpassed::Failed(mut failure) = unpassed else {
        return unpassed;
    };
    failure.trail.push(format!(
        "(the shortest history that fails; repeat with RETRY_CONFORMANCE_SEED={seed} RETRY_CONFORMANCE_CASES={cases} \
         cargo test --test conformance -- {name}::model)"
    ));
    Unpassed::Failed(failure)
}

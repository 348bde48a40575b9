//! Draws histories, runs each, and shrinks the first that fails.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::Reached;
use super::history::Features;
use crate::harness::Skip;
use crate::runner::Unpassed;
use crate::verdict::Failure;

/// How long a failing history is shrunk at most: on a slow store a long one beats a lost run.
const SHRINK_MILLIS: u32 = 30_000;

/// Which histories, and whether a failing one is made shorter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) cases: u32,
    pub(super) shrink: bool,
}

/// How an exploration ended.
#[derive(Debug)]
pub(super) enum Explored {
    /// No history failed.
    Held(Reached),
    /// This one did, after so many, itself included.
    Broken(u32, Box<Failure>),
}

/// Runs the histories of a plan. `run` is told how often to try: a schedule may hide a failure while it is shrunk.
pub(super) fn explore<T: Debug>(
    histories: &impl Strategy<Value = T>,
    plan: Plan,
    run: impl Fn(&T, Trying) -> Result<Features, Unpassed>,
) -> Result<Explored, Skip> {
    let reached = RefCell::new(Reached::new());
    let (ran, skipped, last) = (Cell::new(0_u32), RefCell::new(None), RefCell::new(None));
    let config = Config {
        cases: plan.cases,
        failure_persistence: None,
        max_shrink_iters: if plan.shrink { 3_000 } else { 0 },
        max_shrink_time: SHRINK_MILLIS,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&plan.seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let outcome = TestRunner::new_with_rng(config, rng).run(histories, |history| {
        let trying = if last.borrow().is_some() {
            Trying::Again
        } else {
            ran.set(ran.get() + 1);
            Trying::First
        };
        match run(&history, trying) {
            Ok(features) => {
                let mut reached = reached.borrow_mut();
                features
                    .into_iter()
                    .for_each(|name| *reached.entry(name).or_default() += 1);
                Ok(())
            }
            Err(Unpassed::Failed(failure)) => {
                let what = failure.what.clone();
                // Shrinking ends with the shortest history that failed, so the last failure is its failure.
                *last.borrow_mut() = Some(failure);
                Err(TestCaseError::fail(what))
            }
            Err(Unpassed::Skipped(skip)) => {
                let what = skip.to_string();
                *skipped.borrow_mut() = Some(skip);
                Err(TestCaseError::fail(what))
            }
        }
    });
    if let Some(skip) = skipped.take() {
        return Err(skip);
    }
    match (outcome, last.take()) {
        (Ok(()), _) => Ok(Explored::Held(reached.take())),
        (Err(_), Some(failure)) => Ok(Explored::Broken(ran.get(), failure)),
        (Err(TestError::Abort(reason) | TestError::Fail(reason, _)), None) => {
            let failure = Failure::new("", "the generator of histories", reason.message(), "histories");
            Ok(Explored::Broken(ran.get(), Box::new(failure)))
        }
    }
}

/// Whether a history runs for the first time, or to see if a shorter one fails as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trying {
    First,
    Again,
}

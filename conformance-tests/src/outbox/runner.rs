//! Turns the cases into tests with names, filters, an honest *ignored* state and a limit for hangs.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use super::CASES;
use super::harness::{OutboxHarness, OutboxInstance};
use crate::runner::{HANG_LIMIT, Unpassed, completion_of, runtime, within};

/// One check of a table. It panics when the table breaks a law.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// The laws it tests.
    pub laws: &'static str,
    pub(super) needs: Needs,
    pub(super) run: for<'i> fn(&'i dyn OutboxInstance) -> BoxFuture<'i, ()>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.laws)
    }
}

/// What a case needs besides a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Table,
    Savepoints,
    Overlaps,
}

/// Runs the checks on tables as the whole of a test program's `main`: one harness per server, say.
///
/// # Panics
/// Two harnesses have the same name, or there is none.
pub fn run<H: OutboxHarness>(harnesses: impl IntoIterator<Item = H>) -> ExitCode {
    let arguments = Arguments::from_args();
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for harness in harnesses {
        let name = harness.name().to_owned();
        assert!(names.insert(name.clone()), "two harnesses are named {name:?}");
        all.extend(trials(Arc::new(harness)));
    }
    assert!(!names.is_empty(), "there is no harness to run the checks on");
    libtest_mimic::run(&arguments, all).exit_code()
}

/// The checks as tests, for a program that adds its own.
#[must_use]
pub fn trials(harness: Arc<dyn OutboxHarness>) -> Vec<Trial> {
    let trial = |case: &'static Case| {
        let name = format!("{}::outbox::{}", harness.name(), case.name);
        let harness = Arc::clone(&harness);
        Trial::ignorable_test(name, move || tried(&harness, case))
    };
    CASES.iter().map(trial).collect()
}

fn tried(harness: &Arc<dyn OutboxHarness>, case: &'static Case) -> Result<Completion, Failed> {
    let missing = match case.needs {
        Needs::Savepoints if !harness.has_savepoints() => Some("the harness has no savepoints"),
        Needs::Overlaps if !harness.overlaps() => Some("one transaction at a time can write"),
        Needs::Table | Needs::Savepoints | Needs::Overlaps => None,
    };
    match missing {
        Some(missing) => Ok(Completion::ignored_with(missing)),
        None => completion_of(harness.name(), run_case(harness, case)),
    }
}

/// Runs one case on a fresh table, on a runtime and a thread of its own.
///
/// # Errors
/// It was skipped, or did not end.
///
/// # Panics
/// The table breaks a law.
pub fn run_case(harness: &Arc<dyn OutboxHarness>, case: &'static Case) -> Result<(), Unpassed> {
    let harness = Arc::clone(harness);
    within(HANG_LIMIT, move || {
        let runtime = runtime();
        let verdict = runtime.block_on(async {
            let instance = harness.fresh().await.map_err(Unpassed::Skipped)?;
            (case.run)(&*instance).await;
            Ok(())
        });
        runtime.shutdown_background();
        verdict
    })
}

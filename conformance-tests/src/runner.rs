//! Turns the cases into tests with names, filters, an honest *ignored* state and a limit for hangs.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use retry_core::clock::ManualClock;
use tokio::runtime::{Builder, Runtime};

use crate::cases::{CASES, Case, Needs, isolation};
use crate::documented;
use crate::fixture::Fixture;
use crate::harness::{Capabilities, Difference, Harness, Skip};
use crate::model::{self, Sort};
use crate::verdict::Failure;

/// How long a case may take before it counts as hung. No case waits for time, so this is far more than any needs.
pub(crate) const HANG_LIMIT: Duration = Duration::from_secs(120);

/// Runs the suite on a store as the whole of a test program's `main`.
pub fn run(harness: impl Harness) -> ExitCode {
    run_all([harness])
}

/// Runs the suite on several stores as the whole of a test program's `main`: one harness per server, say.
///
/// Each harness's [`name`](Harness::name) begins the names of its tests and is what `RETRY_REQUIRE` lists.
///
/// # Panics
/// Two harnesses have the same name, or there is none: a store whose server is missing has a harness that
/// [skips](Skip), so that nothing passes because nothing ran.
pub fn run_all<H: Harness>(harnesses: impl IntoIterator<Item = H>) -> ExitCode {
    let arguments = Arguments::from_args();
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for harness in harnesses {
        let name = harness.name().to_owned();
        assert!(names.insert(name.clone()), "two harnesses are named {name:?}");
        all.extend(trials(Arc::new(harness)));
    }
    assert!(!names.is_empty(), "there is no harness to run the suite on");
    libtest_mimic::run(&arguments, all).exit_code()
}

/// The suite as tests, for a program that adds its own.
#[must_use]
pub fn trials(harness: Arc<dyn Harness>) -> Vec<Trial> {
    let mut trials: Vec<Trial> = CASES.iter().map(|case| trial(&harness, case)).collect();
    let apart = Arc::clone(&harness);
    let name = format!("{}::isolation::fresh_stores_share_nothing", harness.name());
    trials.push(Trial::ignorable_test(name, move || {
        let stores = Arc::clone(&apart);
        let verdict = within(HANG_LIMIT, move || {
            let runtime = runtime();
            let verdict = runtime.block_on(isolation::fresh_stores_share_nothing(&*stores));
            runtime.shutdown_background();
            verdict
        });
        completion(&*apart, verdict)
    }));
    let name = format!("{}::capabilities::are_documented", harness.name());
    let documented = Arc::clone(&harness);
    trials.push(Trial::ignorable_test(name, move || {
        documented::check(&*documented)
    }));
    for difference in harness.differences() {
        let known = Case::find(difference.case).is_some();
        assert!(
            known,
            "a difference is declared for {:?}, which is no case",
            difference.case
        );
    }
    for sort in [Sort::Sequential, Sort::Concurrent] {
        if harness.capabilities().histories == 0 {
            let name = format!("{}::{}", harness.name(), sort.name());
            let none = || {
                Ok(Completion::ignored_with(
                    "the harness asks for no generated histories",
                ))
            };
            trials.push(Trial::ignorable_test(name, none));
            continue;
        }
        let harness = Arc::clone(&harness);
        let name = format!("{}::{}", harness.name(), sort.name());
        trials.push(Trial::ignorable_test(name, move || {
            let limit = HANG_LIMIT + Duration::from_millis(500) * sort.histories(harness.capabilities());
            let model = Arc::clone(&harness);
            completion(&*harness, within(limit, move || model::check(&model, sort)))
        }));
    }
    trials
}

fn trial(harness: &Arc<dyn Harness>, case: &'static Case) -> Trial {
    let name = format!("{}::{}", harness.name(), case.path());
    let harness = Arc::clone(harness);
    Trial::ignorable_test(name, move || {
        if let Some(missing) = missing(case.needs, harness.capabilities()) {
            return Ok(Completion::ignored_with(missing));
        }
        let verdict = run_case(&harness, case);
        let differs = |difference: &&Difference| difference.case == case.path();
        match harness.differences().iter().find(differs) {
            None => completion(&*harness, verdict),
            Some(difference) => differently(&*harness, difference, verdict),
        }
    })
}

/// A declared difference is one: the case does fail, always or now and then.
fn differently(
    harness: &dyn Harness,
    difference: &Difference,
    verdict: Result<(), Unpassed>,
) -> Result<Completion, Failed> {
    match verdict {
        Err(Unpassed::Failed(_)) => Ok(Completion::ignored_with(format!("differs: {}", difference.why))),
        Ok(()) if difference.always => {
            Err(Failed::from("declared as a difference, and it is none: it holds"))
        }
        held_or_skipped => completion(harness, held_or_skipped),
    }
}

/// What a trial did not do well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unpassed {
    /// There was no store to test.
    Skipped(Skip),
    /// The store broke a law.
    Failed(Box<Failure>),
}

impl From<Failure> for Unpassed {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// Runs one case on a fresh store, on a runtime and a thread of its own.
///
/// # Errors
/// It was skipped, failed, or did not end.
pub fn run_case(harness: &Arc<dyn Harness>, case: &'static Case) -> Result<(), Unpassed> {
    let harness = Arc::clone(harness);
    within(HANG_LIMIT, move || {
        let runtime = runtime();
        let verdict = runtime.block_on(async {
            let clock = ManualClock::new();
            let instance = harness.fresh(clock.clone()).await.map_err(Unpassed::Skipped)?;
            let mut fixture = Fixture::new(instance, clock);
            (case.run)(&mut fixture).await.map_err(|failure| {
                let law = if failure.law.is_empty() {
                    case.laws.first().copied().unwrap_or_default().to_owned()
                } else {
                    failure.law.clone()
                };
                let trail = fixture.trail();
                let [what, given, allowed] =
                    [failure.what, failure.given, failure.allowed].map(|text| fixture.readable(text));
                Unpassed::from(Failure {
                    law,
                    what,
                    given,
                    allowed,
                    trail,
                })
            })
        });
        runtime.shutdown_background();
        verdict
    })
}

/// A runtime for one trial, with real threads.
#[must_use]
pub(crate) fn runtime() -> Runtime {
    let built = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.unwrap_or_else(|error| panic!("no runtime for the test: {error}"))
}

/// Runs `body` on a thread of its own; one that does not end in time is left behind.
pub(crate) fn within(
    limit: Duration,
    body: impl FnOnce() -> Result<(), Unpassed> + Send + 'static,
) -> Result<(), Unpassed> {
    let (send, receive) = sync_channel(1);
    let thread = std::thread::spawn(move || {
        // The receiver is gone only when the limit has passed.
        let _ = send.send(body());
    });
    match receive.recv_timeout(limit) {
        Ok(verdict) => verdict,
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => unreachable!("the thread sends before it ends"),
        },
        Err(RecvTimeoutError::Timeout) => Err(Unpassed::from(Failure::new(
            "L13",
            "whether every call ends",
            format!("no end after {} s", limit.as_secs()),
            "every call ends without waiting for another caller",
        ))),
    }
}

pub(crate) fn completion(harness: &dyn Harness, verdict: Result<(), Unpassed>) -> Result<Completion, Failed> {
    completion_of(harness.name(), verdict)
}

/// What a verdict about `name` is to the test program.
pub(crate) fn completion_of(name: &str, verdict: Result<(), Unpassed>) -> Result<Completion, Failed> {
    match verdict {
        Ok(()) => Ok(Completion::Completed),
        Err(Unpassed::Failed(failure)) => Err(Failed::from(*failure)),
        Err(Unpassed::Skipped(skip)) if is_required(name) => {
            Err(Failed::from(format!("RETRY_REQUIRE asks for {name}: {skip}")))
        }
        Err(Unpassed::Skipped(skip)) => Ok(Completion::ignored_with(skip)),
    }
}

pub(crate) fn missing(needs: Needs, can: Capabilities) -> Option<&'static str> {
    let (needed, reason) = match needs {
        Needs::Store => (true, ""),
        Needs::Reopen => (can.reopen, "the harness cannot reopen the store"),
        Needs::Damage => (can.damage, "the harness cannot damage a row"),
        Needs::Transactions => (can.transactions, "the store joins no transaction of the user's"),
        Needs::Peer => (can.peer, "the harness has no second handle to the data"),
    };
    (!needed).then_some(reason)
}

/// Whether `RETRY_REQUIRE` is `all` or lists this store.
fn is_required(name: &str) -> bool {
    let required = std::env::var("RETRY_REQUIRE").unwrap_or_default();
    required
        .split(',')
        .map(str::trim)
        .any(|store| store == "all" || store == name)
}

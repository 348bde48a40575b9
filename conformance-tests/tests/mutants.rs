//! Each broken store is rejected by the case that is meant to catch it, and most by generated histories too.

use std::process::ExitCode;
use std::sync::Arc;

use conformance_tests::Harness;
use conformance_tests::cases::Case;
use conformance_tests::model::{self, Sort};
use conformance_tests::mutants::{MUTANTS, Mutant, MutantHarness, RIGHT};
use conformance_tests::runner::{Unpassed, run_case};
use libtest_mimic::{Arguments, Failed, Trial};

/// Histories within which the model has to reject a mutant.
const HISTORIES: u32 = 400;

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for mutant in MUTANTS {
        trials.push(Trial::test(
            format!("{} is rejected by {}", mutant.name, mutant.killer),
            move || by_case(mutant),
        ));
        if mutant.by_model {
            let name = format!("{} is rejected by model::histories", mutant.name);
            trials.push(Trial::test(name, move || by_model(mutant)));
        }
    }
    trials.push(Trial::test("the right store passes every such case", right));
    trials.push(Trial::test("generated histories reach everything", reach));
    trials.push(Trial::test("the same seed gives the same histories", repeat));
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn harness(mutant: &'static Mutant) -> Arc<dyn Harness> {
    Arc::new(MutantHarness(mutant))
}

fn case(path: &str) -> Result<&'static Case, Failed> {
    Case::find(path).ok_or_else(|| Failed::from(format!("there is no case {path}")))
}

fn by_case(mutant: &'static Mutant) -> Result<(), Failed> {
    let case = case(mutant.killer)?;
    match run_case(&harness(mutant), case) {
        Err(Unpassed::Failed(failure)) if case.laws.contains(&failure.law.as_str()) => Ok(()),
        Err(Unpassed::Failed(failure)) => Err(Failed::from(format!("for another law:\n{failure}"))),
        other => Err(Failed::from(format!("the broken store passed: {other:?}"))),
    }
}

fn by_model(mutant: &'static Mutant) -> Result<(), Failed> {
    match model::check_seed(&harness(mutant), Sort::Sequential, 0, HISTORIES) {
        Err(Unpassed::Failed(_)) => Ok(()),
        other => Err(Failed::from(format!(
            "the broken store passed {HISTORIES} histories: {other:?}"
        ))),
    }
}

/// What happens in the histories of one seed is the same every time, and differs from that of another seed.
fn repeat() -> Result<(), Failed> {
    let reached = |seed| match model::check_seed(&harness(&RIGHT), Sort::Sequential, seed, 60) {
        Ok(reached) => Ok(reached),
        Err(unpassed) => Err(Failed::from(format!("{unpassed:?}"))),
    };
    let (first, again, other) = (reached(7)?, reached(7)?, reached(8)?);
    if first == again && first != other {
        return Ok(());
    }
    Err(Failed::from(format!(
        "seed 7: {first:?}, again: {again:?}, seed 8: {other:?}"
    )))
}

/// A generator that never does a thing tests nothing of it.
fn reach() -> Result<(), Failed> {
    let reached = match model::check_seed(&harness(&RIGHT), Sort::Sequential, 0, HISTORIES) {
        Ok(reached) => reached,
        Err(unpassed) => return Err(Failed::from(format!("{unpassed:?}"))),
    };
    let wanted = [
        "pending → running",
        "pending → cancelled",
        "running → pending",
        "running → waiting",
        "running → joining",
        "running → succeeded",
        "running → failed",
        "running → cancelled",
        "waiting → pending",
        "waiting → succeeded",
        "waiting → failed",
        "waiting → cancelled",
        "joining → pending",
        "joining → failed",
        "joining → cancelled",
        "new",
        "born leased",
        "repeated",
        "duplicate",
        "replaced",
        "done Primary",
        "done Cancelled",
        "done Completed",
        "done NoneOpen",
        "stale",
        "missing",
        "key taken",
        "claimed",
        "claimed a suspect",
        "claim with marks",
        "claim of a lost session",
        "opening a lost session",
        "purged",
        "a child put off by purge",
        "failed → pending",
        "succeeded → pending",
        "cancelled → pending",
        "running → gone",
        "reported running SessionLost",
        "reported running SessionDead",
        "reported running Alarm",
        "reported pending Alarm",
        "reported waiting Alarm",
        "reported joining Alarm",
        "reported failed Alarm",
    ];
    let missed: Vec<&str> = wanted
        .into_iter()
        .filter(|name| !reached.contains_key(*name))
        .collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failed::from(format!(
        "never reached: {missed:#?}\nreached: {reached:#?}"
    )))
}

fn right() -> Result<(), Failed> {
    for mutant in MUTANTS {
        let case = case(mutant.killer)?;
        if let Err(unpassed) = run_case(&harness(&RIGHT), case) {
            return Err(Failed::from(format!("{}: {unpassed:?}", case.path())));
        }
    }
    Ok(())
}

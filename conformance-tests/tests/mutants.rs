//! Each broken store is rejected by the case that is meant to catch it, and most by generated histories too.

use std::process::ExitCode;
use std::sync::Arc;

use conformance_tests::Harness;
use conformance_tests::cases::Case;
use conformance_tests::laws::LAWS;
use conformance_tests::model::{self, Sort};
use conformance_tests::mutants::{MUTANTS, Mutant, MutantHarness, RIGHT, SLOW};
use conformance_tests::runner::{Unpassed, run_case};
use libtest_mimic::{Arguments, Failed, Trial};

/// Histories within which each sort has to reject a mutant that it is meant to.
const HISTORIES: u32 = 400;

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for mutant in MUTANTS {
        let (name, killer) = (mutant.name, mutant.killer);
        trials.push(Trial::test(
            format!("{name} is rejected by {killer}"),
            move || by_case(mutant),
        ));
        for sort in mutant.found_by {
            let name = format!("{name} is rejected by {}", sort.name());
            trials.push(Trial::test(name, move || by_histories(mutant, *sort)));
        }
    }
    trials.push(Trial::test("every law has mutants", laws));
    trials.push(Trial::test("the right store passes every such case", right));
    trials.push(Trial::test("generated histories reach everything", reach));
    trials.push(Trial::test("concurrent histories overlap", overlap));
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

fn by_histories(mutant: &'static Mutant, sort: Sort) -> Result<(), Failed> {
    match model::first_failure(&harness(mutant), sort, 0, HISTORIES) {
        Ok(Some(after)) => {
            eprintln!("{}: rejected by history {after} of {}", mutant.name, sort.name());
            Ok(())
        }
        other => Err(Failed::from(format!(
            "the broken store passed {HISTORIES} histories: {other:?}"
        ))),
    }
}

/// Every law is broken by a mutant, and each mutant's killer tests the law that it breaks.
fn laws() -> Result<(), Failed> {
    for mutant in MUTANTS {
        if !case(mutant.killer)?.laws.contains(&mutant.law) {
            let (name, killer, law) = (mutant.name, mutant.killer, mutant.law);
            return Err(Failed::from(format!("{name}: {killer} does not test {law}")));
        }
    }
    // No fault of a store in memory makes a call cost more than it carries.
    let unbroken = LAWS.iter().map(|(law, _)| *law);
    let unbroken: Vec<&str> = unbroken
        .filter(|law| !MUTANTS.iter().any(|mutant| mutant.law == *law))
        .collect();
    if unbroken.is_empty() {
        return Ok(());
    }
    Err(Failed::from(format!("no mutant breaks {unbroken:?}")))
}

/// Concurrent histories are concurrent, and the search for a witness is rarely given up.
fn overlap() -> Result<(), Failed> {
    let cases = 60;
    let reached = match model::check_seed(&harness(&SLOW), Sort::Concurrent, 0, cases) {
        Ok(reached) => reached,
        Err(unpassed) => return Err(Failed::from(format!("{unpassed:?}"))),
    };
    let of = |name: &str| reached.get(name).copied().unwrap_or(0);
    if of("calls that overlap") > cases / 2 && of("a search given up") <= cases / 20 {
        return Ok(());
    }
    Err(Failed::from(format!("reached: {reached:#?}")))
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

/// What generated histories have to reach.
const WANTED: &[&str] = &[
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
    "lost request: insert",
    "lost request: exchange",
    "lost answer: insert",
    "lost answer: exchange",
    "lost answer: renew",
    "lost answer: purge",
    "lost answer: set_queue",
    "lost answer: expired",
    "lost answer: open_session",
    "lost answer: close_session",
    "dropped: insert",
    "dropped: exchange",
    "back in its place",
    "the next attempt under the same lease",
    "a row is damaged",
    "a damaged row is reported",
    "the clock steps back",
    "a small purge",
    "a small mark",
];

/// A generator that never does a thing tests nothing of it.
fn reach() -> Result<(), Failed> {
    let reached = match model::check_seed(&harness(&RIGHT), Sort::Sequential, 0, HISTORIES) {
        Ok(reached) => reached,
        Err(unpassed) => return Err(Failed::from(format!("{unpassed:?}"))),
    };
    let missed: Vec<&&str> = WANTED
        .iter()
        .filter(|name| !reached.contains_key(**name))
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

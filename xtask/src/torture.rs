//! The torture of a store by real processes: killed, stopped, cut off from power.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, thread};

use test_servers::Kind;

use crate::process::{cargo, output, programs, run, run_within};

/// Far longer than a quick run takes on the slowest machine.
const LIMIT: Duration = Duration::from_secs(300);

/// What the program begins its last line with when it cannot do what it was asked for.
const SKIPPED: &str = "skipped: ";

/// Tortures a store; `words` go to the program as they are.
pub(crate) fn torture(root: &Path, words: &[String]) -> Result<(), String> {
    let mut command = cargo(root, "run --locked --quiet --package torture --");
    command.args(words);
    run(command)
}

/// A batch that takes some seconds: of several chunks, under a few kills.
const BATCH: [&str; 4] = ["--workload", "batch", "--shards", "20000"];

/// The quick runs of the gate: tasks of every sort under kills and stops, one batch, and an outbox.
pub(crate) fn quick(root: &Path) -> Result<(), String> {
    let mut command = program(root)?;
    command.arg("--quick");
    run_within(command, LIMIT)?;
    let mut command = program(root)?;
    command.args(BATCH);
    run_within(command, LIMIT)?;
    let mut command = program(root)?;
    command.args(outbox("sqlite", "sqlite"));
    run_within(command, LIMIT)
}

/// Orders in one database, whose tasks an outbox hands over to another, and the servers they need.
const OUTBOXES: [(&str, &str, [Kind; 2]); 2] = [
    ("postgres", "redis", [Kind::Postgres, Kind::Redis]),
    ("mysql", "postgres", [Kind::MySql, Kind::Postgres]),
];

/// The words for one.
fn outbox<'w>(source: &'w str, store: &'w str) -> Vec<&'w str> {
    vec![
        "--quick",
        "--workload",
        "outbox",
        "--source",
        source,
        "--store",
        store,
    ]
}

/// The stores that the quick run of the gate tortures beside SQLite, each with the server it needs.
const OTHERS: [(&str, Option<Kind>); 4] = [
    ("postgres", Some(Kind::Postgres)),
    ("mysql", Some(Kind::MySql)),
    ("redis", Some(Kind::Redis)),
    ("sled", None),
];

/// The quick run on each other store, all at the same time: most of it is waiting. Answers those that were skipped, as their
/// servers are given by URL and none can be killed.
pub(crate) fn quick_others(root: &Path) -> Result<Vec<&'static str>, String> {
    let program = program(root)?;
    let given = |kind: Kind| env::var_os(kind.variable()).is_some() && test_servers::installed(kind).is_err();
    let (skipped, wanted): (Vec<_>, Vec<_>) = OTHERS.iter().partition(|(_, kind)| kind.is_some_and(given));
    let runs: Vec<_> = thread::scope(|scope| {
        let start = |words: Vec<&str>| {
            let mut command = Command::new(program.get_program());
            command.args(words);
            scope.spawn(move || output(command))
        };
        let quick = |(store, _): &&(&'static str, _)| vec!["--quick", "--store", store];
        let batch = |(store, _): &&(&'static str, _)| {
            (*store == "postgres").then(|| [&BATCH[..], &["--store", store]].concat())
        };
        let served = OUTBOXES
            .iter()
            .filter(|(.., kinds)| !kinds.iter().any(|kind| given(*kind)));
        let outboxes = served.map(|(source, store, _)| outbox(source, store));
        let words = wanted.iter().map(quick).chain(wanted.iter().filter_map(batch));
        let runs: Vec<_> = words.chain(outboxes).map(start).collect();
        runs.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    for run in runs {
        let told = run.map_err(|_| "a run of the torture panicked")??;
        println!("{}", told.trim_end());
    }
    Ok(skipped.into_iter().map(|(store, _)| *store).collect())
}

/// The quick run with power cuts; why not, where they cannot be made.
pub(crate) fn power_cuts(root: &Path) -> Result<Option<String>, String> {
    let mut command = program(root)?;
    command.args(["--quick", "--power-cut"]);
    let told = output(command)?;
    println!("{}", told.trim_end());
    Ok(reason(&told))
}

fn reason(told: &str) -> Option<String> {
    let mut lines = told.lines();
    lines.find_map(|line| line.strip_prefix(SKIPPED).map(str::to_owned))
}

/// The program, built with the whole workspace as everything in the gate is.
fn program(root: &Path) -> Result<Command, String> {
    run(cargo(root, "build --locked --workspace --bins"))?;
    Ok(Command::new(programs()?.join("torture")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_run_says_why() {
        let why = reason("a line\nskipped: power cuts: no root\n");
        assert_eq!(why.as_deref(), Some("power cuts: no root"));
        assert_eq!(reason("torture --seed 7\nno violation\n"), None);
    }
}

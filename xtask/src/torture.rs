//! The torture of a store by real processes: killed, stopped, cut off from power.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

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

/// A store, by its name, and the server it needs.
type Store = (&'static str, Option<Kind>);

/// The stores that the gate tortures beside SQLite, and cuts off from power.
const OTHERS: [Store; 4] = [
    ("postgres", Some(Kind::Postgres)),
    ("mysql", Some(Kind::MySql)),
    ("redis", Some(Kind::Redis)),
    ("sled", None),
];

/// Other ways to reach two of them, which have several processes to be killed.
const MORE: [Store; 2] = [
    ("pgbouncer", Some(Kind::PgBouncer)),
    ("redis-cluster", Some(Kind::RedisCluster)),
];

/// Whether a kind is a server that is given by URL, where none can be started and killed. Where neither is there, its run fails.
fn is_given(kind: Kind) -> bool {
    !test_servers::given(kind).is_empty() && test_servers::installed(kind).is_err()
}

/// Those of the stores whose servers cannot be harmed, and the others.
fn harmless(stores: &[Store]) -> (Vec<Store>, Vec<Store>) {
    stores.iter().partition(|(_, kind)| kind.is_some_and(is_given))
}

/// Runs the program with each of these words, all at the same time: most of a run is waiting. What each printed.
fn all_at_once(program: &Command, runs: Vec<Vec<&str>>) -> Result<Vec<String>, String> {
    let ended: Vec<_> = thread::scope(|scope| {
        let start = |words: Vec<&str>| {
            let mut command = Command::new(program.get_program());
            command.args(words);
            scope.spawn(move || output(command))
        };
        let runs: Vec<_> = runs.into_iter().map(start).collect();
        runs.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut all = Vec::new();
    for run in ended {
        let told = run.map_err(|_| "a run of the torture panicked")??;
        println!("{}", told.trim_end());
        all.push(told);
    }
    Ok(all)
}

/// The quick run on each other store, all at the same time. Answers those that were skipped, as their servers are given by URL and
/// none can be killed.
pub(crate) fn quick_others(root: &Path) -> Result<Vec<&'static str>, String> {
    let program = program(root)?;
    let (skipped, wanted) = harmless(&[&OTHERS[..], &MORE].concat());
    let quick = wanted.iter().map(|(store, _)| vec!["--quick", "--store", store]);
    let batches = wanted.iter().filter(|(store, _)| *store == "postgres");
    let batches = batches.map(|(store, _)| [&BATCH[..], &["--store", store]].concat());
    let served = OUTBOXES
        .iter()
        .filter(|(.., kinds)| !kinds.iter().any(|kind| is_given(*kind)));
    let outboxes = served.map(|(source, store, _)| outbox(source, store));
    all_at_once(&program, quick.chain(batches).chain(outboxes).collect())?;
    Ok(skipped.into_iter().map(|(store, _)| store).collect())
}

/// The quick run with power cuts on every store, all at the same time; which were skipped and why, where power cuts cannot be made.
pub(crate) fn power_cuts(root: &Path) -> Result<Option<String>, String> {
    let program = program(root)?;
    let (given, mut wanted) = harmless(&OTHERS);
    wanted.insert(0, ("sqlite", None));
    let runs = wanted
        .iter()
        .map(|(store, _)| vec!["--quick", "--power-cut", "--store", store]);
    let told = all_at_once(&program, runs.collect())?;
    let not_cut = wanted
        .iter()
        .zip(&told)
        .filter_map(|((store, _), told)| Some(format!("{store}: {}", reason(told)?)));
    let given = given
        .iter()
        .map(|(store, _)| format!("{store}: no server here that may be cut off"));
    let skipped: Vec<_> = not_cut.chain(given).collect();
    Ok((!skipped.is_empty()).then(|| skipped.join("; ")))
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

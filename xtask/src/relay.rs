//! The test of the relay's own test: each mutant of the relay must be caught by the histories of `retry-sinks/tests/order`.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::process::cargo;
use crate::sim::{self, Mutant};

/// The relay's mutants.
pub(crate) const LIST: &str = "retry-sinks/tests/order/mutants.txt";

/// Histories within which a mutant must be caught.
const ENOUGH: &str = "400";

/// What `cargo test` says when a test has failed.
const CAUGHT: &str = "test result: FAILED";

/// What a history that fails prints.
const REPEAT: &str = "repeat it with RETRY_RELAY_SEED=";

/// The crates that the histories need.
const CRATES: &[&str] = &[
    "conformance-tests",
    "retry-core",
    "retry-postgres",
    "retry-sinks",
    "retry-sqlite",
    "test-servers",
];

/// Builds each mutant of the relay beside the project and lives histories until it is caught. A survivor is an error.
pub(crate) fn mutants(root: &Path, only: &[String]) -> Result<(), String> {
    let list = sim::read(&root.join(LIST))?;
    let mutants = sim::parse(&list)?;
    let place = place(root)?;
    let mut survivors = Vec::new();
    let asked = |mutant: &&Mutant<'_>| only.is_empty() || only.iter().any(|name| name == mutant.name);
    for mutant in mutants.iter().filter(asked) {
        let verdict = verdict(&place, root, mutant)?;
        println!("{:<40} {verdict}", mutant.name);
        if !verdict.starts_with("caught") {
            survivors.push(mutant.name);
        }
    }
    match survivors.is_empty() {
        true => Ok(()),
        false => Err(format!("not caught: {}", survivors.join(", "))),
    }
}

/// A folder outside the project with what the histories need.
fn place(root: &Path) -> Result<PathBuf, String> {
    let place = env::temp_dir().join("task-retry-relay-mutants");
    for part in CRATES {
        let to = place.join(part);
        // An earlier run may have left another version.
        drop(fs::remove_dir_all(&to));
        sim::copy(&root.join(part), &to)?;
    }
    let manifest = sim::read(&root.join("Cargo.toml"))?;
    let (workspace, _) = manifest
        .split_once("\n[package]")
        .ok_or("Cargo.toml has no `[package]` behind the workspace")?;
    let members: Vec<_> = CRATES.iter().map(|name| format!("\"{name}\"")).collect();
    let workspace = sim::with_members(workspace, &members.join(", ")).ok_or("Cargo.toml names no members")?;
    sim::write(&place.join("Cargo.toml"), &workspace)?;
    sim::write(&place.join("Cargo.lock"), &sim::read(&root.join("Cargo.lock"))?)?;
    Ok(place)
}

fn verdict(place: &Path, root: &Path, mutant: &Mutant<'_>) -> Result<String, String> {
    let original = sim::read(&root.join(mutant.file))?;
    let found = original.matches(mutant.find).count();
    if found != 1 {
        return Ok(format!("STALE: its text occurs {found} times in {}", mutant.file));
    }
    let file = place.join(mutant.file);
    sim::write(&file, &original.replace(mutant.find, mutant.with))?;
    let mut test = cargo(place, "test --quiet --offline --package retry-sinks --test order");
    test.env("CARGO_TARGET_DIR", place.join("target"))
        .env("RUSTFLAGS", "-Awarnings")
        .env("RETRY_RELAY_SEEDS", ENOUGH);
    let told = test
        .output()
        .map_err(|error| format!("cargo does not start: {error}"));
    sim::write(&file, &original)?;
    let told = told?;
    let said = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
    match said.split_once(REPEAT) {
        Some((_, seed)) => {
            let seed = seed.split_whitespace().next().unwrap_or_default();
            Ok(format!("caught in history {seed}"))
        }
        None if said.contains(CAUGHT) => Ok("caught by a test of its own".to_owned()),
        None if told.status.success() => Ok(format!("SURVIVED {ENOUGH} histories")),
        None => Err(format!("`{}` does not build or run: {said}", mutant.name)),
    }
}

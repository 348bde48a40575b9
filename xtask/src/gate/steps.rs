//! The steps that are one command each.

use std::path::Path;

use super::Done;
use crate::process::{cargo, run, works};
use crate::tidy;

pub(super) fn fmt(root: &Path) -> Result<Done, String> {
    run(cargo(root, "fmt --all --check"))?;
    Ok(Done::Passed)
}

pub(super) fn tidy(root: &Path) -> Result<Done, String> {
    tidy::run(root)?;
    Ok(Done::Passed)
}

pub(super) fn deny(root: &Path) -> Result<Done, String> {
    if !works(cargo(root, "deny --version")) {
        return Ok(Done::Skipped("cargo-deny is not installed".to_owned()));
    }
    run(cargo(root, "deny --locked check"))?;
    Ok(Done::Passed)
}

pub(super) fn clippy(root: &Path) -> Result<Done, String> {
    run(cargo(
        root,
        "clippy --locked --workspace --all-targets -- -D warnings",
    ))?;
    Ok(Done::Passed)
}

pub(super) fn test(root: &Path) -> Result<Done, String> {
    let mut command = cargo(root, "test --locked --workspace");
    // A suite whose server is missing must fail here, not pass unrun.
    command.env("RETRY_REQUIRE", "all");
    // With it the tests would rewrite the generated pages instead of comparing them.
    command.env_remove("UPDATE_DOCS");
    run(command)?;
    Ok(Done::Passed)
}

pub(super) fn docs(root: &Path) -> Result<Done, String> {
    let mut command = cargo(root, "doc --locked --workspace --no-deps");
    command.env("RUSTDOCFLAGS", "-D warnings");
    run(command)?;
    Ok(Done::Passed)
}

/// Histories that the gate lives; the seeds are always the same.
const HISTORIES: &str = "20000";
/// Those of them that it lives two times, to see that a seed decides its trace.
const TWICE: &str = "1000";

pub(super) fn sim(root: &Path) -> Result<Done, String> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    crate::sim::simulate(root, &words(&format!("--twice --seeds {TWICE}")))?;
    crate::sim::simulate(root, &words(&format!("--seeds {HISTORIES}")))?;
    Ok(Done::Passed)
}

//! The steps that are one command each.

use std::time::Duration;

use super::ignored::Ignored;
use super::{Done, Gate};
use crate::process::{cargo, run, run_watched, works};
use crate::tidy;

pub(super) fn fmt(gate: &Gate<'_>) -> Result<Done, String> {
    run(cargo(gate.root, "fmt --all --check"))?;
    Ok(Done::Passed)
}

pub(super) fn tidy(gate: &Gate<'_>) -> Result<Done, String> {
    tidy::run(gate.root)?;
    Ok(Done::Passed)
}

pub(super) fn deny(gate: &Gate<'_>) -> Result<Done, String> {
    if !works(cargo(gate.root, "deny --version")) {
        return Ok(Done::Skipped("cargo-deny is not installed".to_owned()));
    }
    run(cargo(gate.root, "deny --locked check"))?;
    Ok(Done::Passed)
}

pub(super) fn clippy(gate: &Gate<'_>) -> Result<Done, String> {
    run(cargo(
        gate.root,
        "clippy --locked --workspace --features task-retry/full --all-targets -- -D warnings",
    ))?;
    Ok(Done::Passed)
}

/// How long the tests may take once they are built: four times what they do on two cores.
const TEST_LIMIT: Duration = Duration::from_secs(45 * 60);

pub(super) fn test(gate: &Gate<'_>) -> Result<Done, String> {
    let tests = "test --locked --workspace --features task-retry/full";
    run(cargo(gate.root, &format!("{tests} --no-run")))?;
    let mut command = cargo(gate.root, tests);
    // A suite whose server is missing must fail here, not pass unrun.
    command.env("RETRY_REQUIRE", "all");
    command.envs(gate.servers()?.variables());
    // With it the tests would rewrite the generated pages instead of comparing them.
    command.env_remove("UPDATE_DOCS");
    let mut ignored = Ignored::default();
    run_watched(command, TEST_LIMIT, |line| ignored.look(line))?;
    Ok(Done::But(ignored.told()))
}

pub(super) fn docs(gate: &Gate<'_>) -> Result<Done, String> {
    let mut command = cargo(
        gate.root,
        "doc --locked --workspace --features task-retry/full --no-deps",
    );
    command.env("RUSTDOCFLAGS", "-D warnings");
    run(command)?;
    Ok(Done::Passed)
}

pub(super) fn torture(gate: &Gate<'_>) -> Result<Done, String> {
    crate::torture::quick(gate.root)?;
    let skipped = crate::torture::quick_others(gate.root)?;
    Ok(match skipped.is_empty() {
        true => Done::Passed,
        false => Done::But(vec![format!(
            "skipped: {}: no server here that may be killed",
            skipped.join(", ")
        )]),
    })
}

pub(super) fn power(gate: &Gate<'_>) -> Result<Done, String> {
    Ok(crate::torture::power_cuts(gate.root)?.map_or(Done::Passed, Done::Skipped))
}

/// Histories that the gate lives; the seeds are always the same.
const HISTORIES: &str = "20000";
/// Those of them that it lives two times, to see that a seed decides its trace.
const TWICE: &str = "1000";

pub(super) fn sim(gate: &Gate<'_>) -> Result<Done, String> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    crate::sim::simulate(gate.root, &words(&format!("--twice --seeds {TWICE}")))?;
    crate::sim::simulate(gate.root, &words(&format!("--seeds {HISTORIES}")))?;
    Ok(Done::Passed)
}

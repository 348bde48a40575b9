//! The examples: each is run as a user would run it, in an empty folder and with a limit.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{env, fs, process};

use super::{Done, Gate};
use crate::process::{cargo, programs, run as run_command, run_within};

/// An example the gate runs.
pub(crate) struct Example {
    pub(crate) name: &'static str,
    args: &'static [&'static str],
    limit: Duration,
}

/// Every example of the workspace; the tidy check `examples` compares the table with the files.
pub(crate) const EXAMPLES: &[Example] = &[Example {
    name: "orders",
    args: &["--db", "orders.db"],
    limit: Duration::from_secs(60),
}];

/// The step.
pub(super) fn run(gate: &Gate<'_>) -> Result<Done, String> {
    // The whole workspace, as the tests were built: one example alone would choose other features for the
    // dependencies and compile them again.
    run_command(cargo(
        gate.root,
        "build --locked --workspace --features task-retry/full --examples",
    ))?;
    let programs = programs()?.join("examples");
    for example in EXAMPLES {
        let folder = Scratch::new(example.name)?;
        let mut command = Command::new(programs.join(example.name));
        command.args(example.args).current_dir(&folder.0);
        run_within(command, example.limit)?;
    }
    Ok(Done::Passed)
}

/// An empty folder that is removed again, whatever happened in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self, String> {
        let path = env::temp_dir().join(format!("task-retry-{name}-{}", process::id()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind in the temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_is_removed() {
        let scratch = Scratch::new("test-of-scratch").unwrap();
        let path = scratch.0.clone();
        fs::write(path.join("orders.db"), "data").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}

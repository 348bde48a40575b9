//! The examples: each is run as a user would run it, in an empty folder and with a limit.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs, process};

use test_servers::{Error, Kind, given};

use super::{Done, Gate};
use crate::process::{cargo, programs, run as run_command, run_within};

/// An example the gate runs, once for each row.
pub(crate) struct Example {
    pub(crate) name: &'static str,
    args: &'static [&'static str],
    /// The server whose URL follows the arguments.
    server: Option<Kind>,
    limit: Duration,
}

/// Far longer than a run takes on the slowest machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Every example of the workspace; the tidy check `examples` compares the table with the files.
pub(crate) const EXAMPLES: &[Example] = &[
    Example::new("async_completion", &[], None),
    Example::new("checkpoint", &[], None),
    Example::new("graceful_shutdown", &[], None),
    Example::new("fencing", &[], None),
    Example::new("inline_and_scheduled", &[], None),
    Example::new("messages", &[], None),
    Example::new("outbox_postgres", &[], Some(Kind::Postgres)),
    Example::new("outbox_relay", &[], None),
    Example::new("outbox_relay", &[], Some(Kind::Redis)),
    Example::new("fallback_and_alerts", &[], None),
    Example::new("orders", &["--db", "orders.db"], None),
    Example::new("orders", &["--store", "sled:orders.sled"], None),
    Example::new("orders", &["--store"], Some(Kind::Postgres)),
    Example::new("orders", &["--store"], Some(Kind::MySql)),
    Example::new("orders", &["--store"], Some(Kind::Redis)),
    Example::new("quickstart", &[], None),
    Example::new("reports", &[], None),
    Example::new("reports", &["--store"], Some(Kind::Postgres)),
    Example::new("testing_your_handlers", &[], None),
];

impl Example {
    const fn new(name: &'static str, args: &'static [&'static str], server: Option<Kind>) -> Self {
        let limit = LIMIT;
        Self {
            name,
            args,
            server,
            limit,
        }
    }

    fn run(&self, program: &Path, url: Option<&str>) -> Result<(), String> {
        let folder = Scratch::new(self.name)?;
        let mut command = Command::new(program);
        command.args(self.args).args(url).current_dir(&folder.0);
        run_within(command, self.limit)
    }
}

/// The step.
pub(super) fn run(gate: &Gate<'_>) -> Result<Done, String> {
    // The whole workspace, as the tests were built: one example alone would choose other features for the
    // dependencies and compile them again.
    run_command(cargo(
        gate.root,
        "build --locked --workspace --features task-retry/full --examples",
    ))?;
    let programs = programs()?.join("examples");
    let mut skipped = Vec::new();
    for example in EXAMPLES {
        // A fresh one: a server that was given may hold the orders of an earlier run.
        let server = match example.server.map(|kind| (kind, test_servers::start(kind))) {
            None => None,
            Some((_, Ok(server))) => Some(server),
            Some((kind, Err(Error::Missing { .. }))) if !given(kind).is_empty() => {
                skipped.push(kind);
                continue;
            }
            Some((_, Err(error))) => return Err(error.to_string()),
        };
        let url = server.as_ref().map(test_servers::Server::url);
        example.run(&programs.join(example.name), url.as_deref())?;
    }
    if skipped.is_empty() {
        return Ok(Done::Passed);
    }
    skipped.sort();
    skipped.dedup();
    let kinds: Vec<_> = skipped.iter().map(|kind| kind.name()).collect();
    let kinds = kinds.join(", ");
    Ok(Done::But(vec![format!(
        "skipped: {kinds}: an example needs an empty server, and only a URL is given"
    )]))
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

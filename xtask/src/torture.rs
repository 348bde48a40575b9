//! The torture of a store by real processes: killed, stopped, cut off from power.

use std::path::Path;

use crate::process::{cargo, run};

/// Tortures a store; `words` go to the program as they are.
pub(crate) fn torture(root: &Path, words: &[String]) -> Result<(), String> {
    let mut command = cargo(root, "run --locked --quiet --package torture --");
    command.args(words);
    run(command)
}

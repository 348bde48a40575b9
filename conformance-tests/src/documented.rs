//! What a store can do, as the suite tests it, in a file beside the crate's manifest: the table of stores is made of these files.

use std::path::{Path, PathBuf};
use std::{env, fs};

use libtest_mimic::{Completion, Failed};

use crate::cases::CASES;
use crate::harness::Harness;
use crate::runner::missing;

/// The file, one fact a line, name and value separated by a tab.
const FILE: &str = "capabilities.tsv";

/// Rewrites generated files instead of comparing them.
const UPDATE: &str = "UPDATE_DOCS";

/// Compares the file with what the harness declares and the suite therefore tests.
pub(crate) fn check(harness: &dyn Harness) -> Result<Completion, Failed> {
    let Some(path) = path() else {
        return Ok(Completion::ignored_with("not run by cargo"));
    };
    if !path.is_file() {
        let why = format!("no {FILE} beside Cargo.toml; an empty one is filled with {UPDATE}=1");
        return Ok(Completion::ignored_with(why));
    }
    compare(&path, &facts(harness)).map(|()| Completion::Completed)
}

fn path() -> Option<PathBuf> {
    let folder = env::var_os("CARGO_MANIFEST_DIR")?;
    Some(Path::new(&folder).join(FILE))
}

fn compare(path: &Path, facts: &str) -> Result<(), Failed> {
    if env::var_os(UPDATE).is_some() {
        fs::write(path, facts)?;
    }
    let written = fs::read_to_string(path)?;
    if written == facts {
        return Ok(());
    }
    Err(Failed::from(format!(
        "{} says\n{written}and the suite tests\n{facts}run this test again with {UPDATE}=1",
        path.display()
    )))
}

fn facts(harness: &dyn Harness) -> String {
    let can = harness.capabilities();
    let said = |yes: bool| if yes { "yes" } else { "no" };
    let run = CASES
        .iter()
        .filter(|case| missing(case.needs, can).is_none())
        .count();
    [
        ("survives a crash", said(can.reopen).to_owned()),
        ("several processes", said(can.peer).to_owned()),
        ("joins your transaction", said(can.transactions).to_owned()),
        ("reports unreadable rows", said(can.damage).to_owned()),
        ("cases", format!("{run} of {}", CASES.len())),
    ]
    .iter()
    .fold(String::new(), |text, (name, value)| {
        text + name + "\t" + value + "\n"
    })
}

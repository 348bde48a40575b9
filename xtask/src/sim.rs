//! The simulation of the engine, built optimised with its assertions on; and its test: each mutant of the engine must be
//! caught.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::process::{cargo, output, run};

/// Optimised like a release, with every assertion.
const PROFILE: [&str; 3] = [
    "profile.sim.inherits='release'",
    "profile.sim.debug-assertions=true",
    "profile.sim.overflow-checks=true",
];

/// Lives simulated histories; `words` go to the simulator as they are.
pub(crate) fn simulate(root: &Path, words: &[String]) -> Result<(), String> {
    let mut command = cargo(root, "run --locked --quiet");
    for setting in PROFILE {
        command.args(["--config", setting]);
    }
    command.args([
        "--profile",
        "sim",
        "--package",
        "conformance-tests",
        "--bin",
        "sim",
        "--",
    ]);
    run({
        command.args(words);
        command
    })
}

/// A defect of the engine, as text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mutant<'a> {
    pub(crate) name: &'a str,
    pub(crate) file: &'a str,
    pub(crate) find: &'a str,
    pub(crate) with: &'a str,
}

/// Histories within which a mutant must be caught.
const ENOUGH: &str = "60000";

/// Builds each mutant of the engine beside the project and simulates it until it is caught. A survivor is an error.
pub(crate) fn mutants(root: &Path, only: &[String]) -> Result<(), String> {
    let list = root.join("conformance-tests/src/sim/mutants.txt");
    let list = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let mutants = parse(&list)?;
    let place = Place::new(root)?;
    let mut survivors = Vec::new();
    let asked = |mutant: &&Mutant<'_>| only.is_empty() || only.iter().any(|name| name == mutant.name);
    for mutant in mutants.iter().filter(asked) {
        // One that does not build keeps nobody from trying the others.
        let verdict = place.verdict(root, mutant).unwrap_or_else(|error| error);
        println!("{:<32} {verdict}", mutant.name);
        if !verdict.starts_with("caught") {
            survivors.push(mutant.name);
        }
    }
    if survivors.is_empty() {
        return Ok(());
    }
    Err(format!("not caught: {}", survivors.join(", ")))
}

/// A mutant is `== name`, `file: …`, `find:` and `with:` with their lines below, and ends at the next. Lines before the
/// first are comments.
pub(crate) fn parse(text: &str) -> Result<Vec<Mutant<'_>>, String> {
    let blocks = text.split("\n== ").skip(1);
    blocks
        .map(|block| one(block).ok_or_else(|| format!("not a mutant:\n{block}")))
        .collect()
}

fn one(block: &str) -> Option<Mutant<'_>> {
    let (name, rest) = block.split_once('\n')?;
    let (file, rest) = rest.strip_prefix("file: ")?.split_once('\n')?;
    let (find, with) = rest.strip_prefix("find:\n")?.split_once("\nwith:\n")?;
    let with = with.trim_end_matches('\n');
    Some(Mutant {
        name,
        file,
        find,
        with,
    })
}

/// A folder outside the project with what the simulator needs.
struct Place(PathBuf);

impl Place {
    fn new(root: &Path) -> Result<Self, String> {
        let folder = env::temp_dir().join("task-retry-mutants");
        let place = Self(folder);
        for part in ["retry-core", "conformance-tests/src/sim"] {
            let to = place.0.join(part);
            // An earlier run may have left another version.
            drop(fs::remove_dir_all(&to));
            copy(&root.join(part), &to)?;
        }
        let manifest = read(&root.join("Cargo.toml"))?;
        let (workspace, _) = manifest
            .split_once("\n[package]")
            .ok_or("Cargo.toml has no `[package]` behind the workspace")?;
        let workspace =
            with_members(workspace, "\"retry-core\", \"simulator\"").ok_or("Cargo.toml names no members")?;
        write(&place.0.join("Cargo.toml"), &workspace)?;
        write(&place.0.join("Cargo.lock"), &read(&root.join("Cargo.lock"))?)?;
        write(&place.0.join("simulator/Cargo.toml"), MANIFEST)?;
        write(&place.0.join("simulator/src/main.rs"), MAIN)?;
        Ok(place)
    }

    fn verdict(&self, root: &Path, mutant: &Mutant<'_>) -> Result<String, String> {
        let original = read(&root.join(mutant.file))?;
        let found = original.matches(mutant.find).count();
        if found != 1 {
            return Ok(format!("STALE: its text occurs {found} times in {}", mutant.file));
        }
        let file = self.0.join(mutant.file);
        write(&file, &original.replace(mutant.find, mutant.with))?;
        let verdict = self.simulate();
        write(&file, &original)?;
        verdict
    }

    fn simulate(&self) -> Result<String, String> {
        let mut build = cargo(&self.0, "build --quiet --offline --profile sim");
        for setting in PROFILE
            .into_iter()
            .chain(["profile.sim.incremental=true", "profile.sim.debug=false"])
        {
            build.args(["--config", setting]);
        }
        build
            .env("CARGO_TARGET_DIR", self.0.join("target"))
            .env("RUSTFLAGS", "-Awarnings");
        output(build).map_err(|error| format!("a mutant does not build: {error}"))?;
        let mut simulator = std::process::Command::new(self.0.join("target/sim/simulator"));
        simulator.args(["--expect", "any", "--seeds", ENOUGH]);
        let told = simulator
            .output()
            .map_err(|error| format!("the simulator does not start: {error}"))?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        Ok(told
            .lines()
            .last()
            .unwrap_or("the simulator said nothing")
            .to_owned())
    }
}

/// A workspace's manifest with other members.
pub(crate) fn with_members(workspace: &str, members: &str) -> Option<String> {
    let (before, rest) = workspace.split_once("\nmembers = [")?;
    let (_, after) = rest.split_once(']')?;
    Some(format!("{before}\nmembers = [{members}]{after}"))
}

const MANIFEST: &str = "\
[package]
name = \"simulator\"
version = \"0.0.0\"
edition.workspace = true

[dependencies]
async-trait.workspace = true
futures-util.workspace = true
retry-core.workspace = true
tokio = { workspace = true, features = [\"sync\"] }
";

const MAIN: &str = "\
//! The simulator alone.
#[path = \"../../conformance-tests/src/sim/mod.rs\"]
mod sim;

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(sim::campaign::main(std::env::args().skip(1), &|line| println!(\"{line}\")))
}
";

pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot copy {}: {error}", from.display());
    fs::create_dir_all(to).map_err(cannot)?;
    for entry in fs::read_dir(from).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            copy(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name)).map_err(cannot)?;
        }
    }
    Ok(())
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    let cannot = |error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(cannot)?;
    }
    fs::write(path, text).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_four_parts() {
        let text = "Comment.\n\n== forgets\nfile: a.rs\nfind:\n    x();\nwith:\n    y();\n\n== other\nfile: b.rs\nfind:\na\nb\nwith:\n\n";
        let mutants = parse(text).unwrap();
        assert_eq!(
            mutants[0],
            Mutant {
                name: "forgets",
                file: "a.rs",
                find: "    x();",
                with: "    y();"
            }
        );
        assert_eq!((mutants[1].find, mutants[1].with), ("a\nb", ""));
        assert!(parse("\n== broken\nfile: a.rs\n").is_err());
    }

    #[test]
    fn the_members_may_stand_on_many_lines() {
        for members in [
            "members = [\"a\", \"b\"]",
            "members = [\n    \"a\",\n    \"b\",\n]",
        ] {
            let workspace = format!("[workspace]\n{members}\nresolver = \"3\"\n");
            let other = "[workspace]\nmembers = [\"c\"]\nresolver = \"3\"\n";
            assert_eq!(with_members(&workspace, "\"c\"").as_deref(), Some(other));
        }
        assert_eq!(with_members("[workspace]\n", "\"c\""), None);
    }
}

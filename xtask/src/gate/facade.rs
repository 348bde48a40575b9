//! The facade's features: each builds alone, and without one no driver is in the dependency tree.

use std::fs;

use super::{Done, Gate};
use crate::process::{cargo, output, run};

/// Crates that only a store's feature may bring in, beside the store crates themselves.
const DRIVERS: &[&str] = &[
    "async-nats",
    "lapin",
    "libsqlite3-sys",
    "redis",
    "rskafka",
    "rusqlite",
    "sled",
    "sqlx",
    "sqlx-core",
];

/// The step. Clippy instead of a plain check: it also refuses warnings, and it reuses what the clippy step built.
pub(super) fn features(gate: &Gate<'_>) -> Result<Done, String> {
    let root = gate.root;
    let tree = cargo(
        root,
        "tree --locked -p task-retry --no-default-features --edges normal --prefix none",
    );
    if let Some(driver) = first_driver(&output(tree)?) {
        return Err(format!(
            "`{driver}` is in the dependency tree of the facade without any feature"
        ));
    }
    let manifest =
        fs::read_to_string(root.join("Cargo.toml")).map_err(|error| format!("Cargo.toml: {error}"))?;
    let bare = "clippy --locked -p task-retry --no-default-features";
    run(cargo(root, &format!("{bare} -- -D warnings")))?;
    for feature in names(&manifest) {
        run(cargo(
            root,
            &format!("{bare} --features {feature} -- -D warnings"),
        ))?;
    }
    Ok(Done::Passed)
}

/// The features a manifest declares, without `default`.
fn names(manifest: &str) -> Vec<&str> {
    let section = manifest
        .lines()
        .skip_while(|line| line.trim() != "[features]")
        .skip(1);
    section
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with([' ', '#']))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim())
        .filter(|name| *name != "default")
        .collect()
}

/// The first crate of a `cargo tree` listing that a store's feature should have brought.
fn first_driver(tree: &str) -> Option<&str> {
    let is_store = |name: &str| name.starts_with("retry-") && !["retry-core", "retry-macros"].contains(&name);
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .find(|name| DRIVERS.contains(name) || is_store(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_from_the_manifest() {
        let manifest = "[package]\nname = \"x\"\n\n[features]\ndefault = [\"a\"]\n# Why.\na = [\"dep:a\"]\n\
                        full = [\n    \"a\",\n]\n\n[dependencies]\nserde = \"1\"\n";
        assert_eq!(names(manifest), ["a", "full"]);
        assert!(names("[package]\n").is_empty());
    }

    #[test]
    fn a_driver_without_its_feature_is_found() {
        assert_eq!(
            first_driver("task-retry v0.1.0 (/x)\nretry-core v0.1.0\nserde v1.0.0\n"),
            None
        );
        assert_eq!(
            first_driver("task-retry v0.1.0\nrusqlite v0.39.0\n"),
            Some("rusqlite")
        );
        assert_eq!(
            first_driver("task-retry v0.1.0\nretry-sqlite v0.1.0\n"),
            Some("retry-sqlite")
        );
    }
}

//! The facade's features: each builds alone, and without one no driver is in the dependency tree.

use std::fs;

use super::{Done, Gate};
use crate::process::{cargo, output, run};

/// Crates that only some features may bring in.
const DRIVERS: &[(&str, &[&str])] = &[
    ("async-nats", &["sinks-nats"]),
    ("lapin", &["sinks-rabbitmq", "sinks-rabbitmq-tls"]),
    ("libsqlite3-sys", &["sqlite"]),
    ("redis", &["redis", "sinks-redis"]),
    ("rskafka", &["sinks-kafka"]),
    ("rusqlite", &["sqlite"]),
    ("sled", &["sled"]),
    ("sqlx", &["postgres", "mysql"]),
    ("sqlx-core", &["postgres", "mysql"]),
    ("sqlx-mysql", &["mysql"]),
    ("sqlx-postgres", &["postgres"]),
    ("retry-macros", &["macros"]),
    ("retry-mysql", &["mysql"]),
    ("retry-postgres", &["postgres"]),
    ("retry-redis", &["redis"]),
    (
        "retry-sinks",
        &[
            "sinks",
            "sinks-http",
            "sinks-kafka",
            "sinks-nats",
            "sinks-rabbitmq",
            "sinks-rabbitmq-tls",
            "sinks-redis",
        ],
    ),
    ("retry-sled", &["sled"]),
    ("retry-sqlite", &["sqlite"]),
];

/// The feature that turns all others on.
const ALL: &str = "full";

/// The step. Clippy instead of a plain check: it also refuses warnings, and it reuses what the clippy step built.
pub(super) fn features(gate: &Gate<'_>) -> Result<Done, String> {
    let root = gate.root;
    let manifest =
        fs::read_to_string(root.join("Cargo.toml")).map_err(|error| format!("Cargo.toml: {error}"))?;
    let bare = "clippy --locked -p task-retry --no-default-features";
    check_tree(gate, "")?;
    run(cargo(root, &format!("{bare} -- -D warnings")))?;
    // Where a store is off its URL is refused; the tests of everything know only the other half.
    run(cargo(
        root,
        "test --locked -q -p task-retry --no-default-features --lib a_store_that_is_off",
    ))?;
    for feature in names(&manifest) {
        check_tree(gate, feature)?;
        run(cargo(
            root,
            &format!("{bare} --features {feature} -- -D warnings"),
        ))?;
    }
    Ok(Done::Passed)
}

/// With one feature, or none, no driver of another is in the dependency tree.
fn check_tree(gate: &Gate<'_>, feature: &str) -> Result<(), String> {
    let tree = "tree --locked -p task-retry --no-default-features --edges normal --prefix none";
    let tree = output(cargo(gate.root, &format!("{tree} --features={feature}")))?;
    match foreign_driver(&tree, feature) {
        Some(driver) => Err(format!(
            "`{driver}` is in the dependency tree of the facade with `--features={feature}` alone"
        )),
        None => Ok(()),
    }
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

/// The first crate of a `cargo tree` listing that another feature should have brought.
fn foreign_driver<'t>(tree: &'t str, feature: &str) -> Option<&'t str> {
    let is_foreign = |name: &str| {
        let owners = DRIVERS.iter().find(|(driver, _)| *driver == name);
        feature != ALL && owners.is_some_and(|(_, owners)| !owners.contains(&feature))
    };
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .find(|name| is_foreign(name))
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

    /// What the facade brings by a feature is watched, and by no feature that is not there.
    #[test]
    fn every_optional_crate_of_the_facade_has_its_features() {
        let manifest = include_str!("../../../Cargo.toml");
        let known = names(manifest);
        let features = manifest.lines().filter_map(|line| line.split_once(" = ["));
        let mut found = 0;
        for (feature, brought) in features.filter(|(feature, _)| known.contains(feature)) {
            for name in brought
                .split('"')
                .filter_map(|word| word.strip_prefix("dep:retry-"))
            {
                let name = format!("retry-{name}");
                let watched = DRIVERS.iter().find(|(driver, _)| *driver == name);
                let (_, owners) = watched.unwrap_or_else(|| panic!("{name} is not watched"));
                assert!(owners.contains(&feature), "{feature} brings {name}");
                found += 1;
            }
        }
        assert!(found >= 7, "{found}");
        for owner in DRIVERS.iter().flat_map(|(_, owners)| owners.iter()) {
            assert!(known.contains(owner), "there is no feature {owner}");
        }
        let sinks = "task-retry v0.1.0\nretry-core v0.1.0\nretry-sinks v0.1.0\n";
        assert_eq!(foreign_driver(sinks, "metrics"), Some("retry-sinks"));
        assert_eq!(foreign_driver(sinks, "sinks-http"), None);
    }

    #[test]
    fn a_driver_without_its_feature_is_found() {
        let none = "task-retry v0.1.0 (/x)\nretry-core v0.1.0\nserde v1.0.0\n";
        assert_eq!(foreign_driver(none, ""), None);
        let sqlite = "task-retry v0.1.0\nretry-sqlite v0.1.0\nrusqlite v0.39.0\n";
        assert_eq!(foreign_driver(sqlite, ""), Some("retry-sqlite"));
        assert_eq!(foreign_driver(sqlite, "sqlite"), None);
        let both = "sqlx-core v0.9.0\nsqlx-postgres v0.9.0\nsqlx-mysql v0.9.0\n";
        assert_eq!(foreign_driver(both, "postgres"), Some("sqlx-mysql"));
        assert_eq!(foreign_driver(both, ALL), None);
    }
}

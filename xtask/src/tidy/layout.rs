//! Every store crate has the same files: knowing one is knowing all.

use super::Problem;
use super::tree::Tree;

/// Crates of the `retry-` family that are not stores.
const NO_STORES: &[&str] = &["retry-core", "retry-macros", "retry-sinks"];

/// What every store crate has in `src`.
const FILES: &[&str] = &[
    "lib.rs",
    "config.rs",
    "store.rs",
    "record.rs",
    "schema.rs",
    "error.rs",
];

/// Stores that keep their scripts in `lua/`.
const SCRIPTED: &[&str] = &["retry-redis"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for name in tree.top() {
        let is_store = name.starts_with("retry-") && !NO_STORES.contains(&name);
        if !is_store || !tree.has(&format!("{name}/Cargo.toml")) {
            continue;
        }
        let mut missing: Vec<String> = FILES.iter().map(|file| format!("src/{file}")).collect();
        if tree.has(&format!("{name}/src/keys.rs")) {
            missing.extend(SCRIPTED.contains(&name).then(|| "lua".to_owned()));
        } else {
            // Neither: a store with statements is the common case, so that is what is asked for.
            missing.extend(["src/queries.rs".to_owned(), "sql".to_owned()]);
        }
        missing.retain(|file| !tree.has(&format!("{name}/{file}")));
        problems.extend(
            missing
                .iter()
                .map(|file| Problem::file(name, format!("store crate without `{file}`"))),
        );
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(name: &str, more: &[&str]) -> Tree {
        let mut paths = vec![format!("{name}/Cargo.toml")];
        paths.extend(FILES.iter().map(|file| format!("{name}/src/{file}")));
        paths.extend(more.iter().map(|file| format!("{name}/{file}")));
        Tree::of(&paths.iter().map(|path| (path.as_str(), "")).collect::<Vec<_>>())
    }

    #[test]
    fn complete_crates_pass() {
        assert_eq!(
            check(&store("retry-sqlite", &["src/queries.rs", "sql/claim.sql"])),
            []
        );
        assert_eq!(check(&store("retry-sled", &["src/keys.rs"])), []);
        assert_eq!(
            check(&store("retry-redis", &["src/keys.rs", "lua/claim.lua"])),
            []
        );
        assert_eq!(check(&Tree::of(&[("retry-core/Cargo.toml", "")])), []);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            check(&store("retry-sqlite", &["src/queries.rs"]))[0].what,
            "store crate without `sql`"
        );
        assert_eq!(
            check(&store("retry-redis", &["src/keys.rs"]))[0].what,
            "store crate without `lua`"
        );
        assert_eq!(
            check(&Tree::of(&[("retry-x/Cargo.toml", "")])).len(),
            FILES.len() + 2
        );
    }
}

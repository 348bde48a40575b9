//! Every source file starts by saying its one responsibility, a crate's root possibly by its README.

use super::Problem;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let silent = tree.texts("rs").filter(|(_, text)| !says_something(text));
    silent
        .map(|(path, _)| {
            Problem::line(
                path,
                1,
                "the first line must be `//!` and the file's responsibility",
            )
        })
        .collect()
}

fn says_something(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let said = first
        .strip_prefix("//!")
        .is_some_and(|rest| !rest.trim().is_empty());
    said || first.starts_with("#![doc = include_str!(")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_file_is_found() {
        let tree = Tree::of(&[
            ("a/src/lib.rs", "//! What it does.\n"),
            ("a/src/main.rs", "#![doc = include_str!(\"../README.md\")]\n"),
            ("a/src/silent.rs", "use std::fs;\n"),
            ("a/src/empty.rs", ""),
            ("a/tests/blank.rs", "//!\n//! Too late.\n"),
        ]);
        let places: Vec<_> = check(&tree).into_iter().map(|problem| problem.place).collect();
        assert_eq!(
            places,
            ["a/src/empty.rs:1", "a/src/silent.rs:1", "a/tests/blank.rs:1"]
        );
    }
}

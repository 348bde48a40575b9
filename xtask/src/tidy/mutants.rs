//! Each mutant of the engine or the relay still finds the text that it changes, once: a stale one would prove nothing.

use super::Problem;
use super::tree::Tree;
use crate::relay;
use crate::sim::{Mutant, parse};

/// The lists: of the engine's mutants and of the relay's.
const LISTS: &[&str] = &["conformance-tests/src/sim/mutants.txt", relay::LIST];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    LISTS.iter().flat_map(|list| check_list(tree, list)).collect()
}

fn check_list(tree: &Tree, path: &str) -> Vec<Problem> {
    let Some(list) = tree.text(path) else {
        return vec![Problem::file(path, "the list of mutants is missing")];
    };
    match parse(list) {
        Ok(mutants) => mutants
            .iter()
            .filter_map(|mutant| stale(tree, path, mutant))
            .collect(),
        Err(error) => vec![Problem::file(path, error)],
    }
}

fn stale(tree: &Tree, path: &str, mutant: &Mutant<'_>) -> Option<Problem> {
    let text = tree.text(mutant.file).unwrap_or_default();
    let found = text.matches(mutant.find).count();
    let what = format!(
        "the text of `{}` occurs {found} times in {}: it must be there once",
        mutant.name, mutant.file
    );
    (found != 1).then(|| Problem::file(path, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_mutant_is_found() {
        let list = "\n== forgets\nfile: a.rs\nfind:\n    x();\nwith:\n    y();\n";
        let problems = |code: &str| check_list(&Tree::of(&[("list", list), ("a.rs", code)]), "list").len();
        assert_eq!(problems("    x();\n"), 0);
        assert_eq!(problems("    z();\n"), 1);
        assert_eq!(problems("    x();\n    x();\n"), 1);
        assert_eq!(
            check_list(&Tree::of(&[("list", "\n== forgets\n")]), "list").len(),
            1
        );
        assert_eq!(check(&Tree::of(&[])).len(), LISTS.len());
    }
}

//! Each mutant of the engine still finds the text that it changes, once: a stale one would prove nothing.

use super::Problem;
use super::tree::Tree;
use crate::sim::{Mutant, parse};

const LIST: &str = "conformance-tests/src/sim/mutants.txt";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let Some(list) = tree.text(LIST) else {
        return vec![Problem::file(LIST, "the list of the engine's mutants is missing")];
    };
    match parse(list) {
        Ok(mutants) => mutants.iter().filter_map(|mutant| stale(tree, mutant)).collect(),
        Err(error) => vec![Problem::file(LIST, error)],
    }
}

fn stale(tree: &Tree, mutant: &Mutant<'_>) -> Option<Problem> {
    let text = tree.text(mutant.file).unwrap_or_default();
    let found = text.matches(mutant.find).count();
    let what = format!(
        "the text of `{}` occurs {found} times in {}: it must be there once",
        mutant.name, mutant.file
    );
    (found != 1).then(|| Problem::file(LIST, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_mutant_is_found() {
        let list = "\n== forgets\nfile: a.rs\nfind:\n    x();\nwith:\n    y();\n";
        let problems = |code: &str| check(&Tree::of(&[(LIST, list), ("a.rs", code)])).len();
        assert_eq!(problems("    x();\n"), 0);
        assert_eq!(problems("    z();\n"), 1);
        assert_eq!(problems("    x();\n    x();\n"), 1);
        assert_eq!(check(&Tree::of(&[(LIST, "\n== forgets\n")])).len(), 1);
        assert_eq!(check(&Tree::of(&[])).len(), 1);
    }
}

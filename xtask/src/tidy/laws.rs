//! Every law of the store contract is cited by a conformance case, and every cited law exists.

use std::collections::BTreeMap;

use super::Problem;
use super::source::doc_lines;
use super::tree::Tree;

/// Where the laws are written, as `**L1**` in the documentation.
const CONTRACT: &str = "retry-core/src/store/mod.rs";

/// Where the cases are: each cites its laws as `"L1"`, or as `L1` in its documentation.
const CASES: &str = "conformance-tests/src/cases";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let laws = tree.text(CONTRACT).map(written).unwrap_or_default();
    if laws.is_empty() {
        return vec![Problem::file(CONTRACT, "no law is written here as `**L1** …`")];
    }
    let mut problems = Vec::new();
    for (expected, law) in (1..).zip(&laws) {
        if *law != expected {
            problems.push(Problem::file(
                CONTRACT,
                format!("law L{law} stands where L{expected} is due"),
            ));
            break;
        }
    }
    let cited = cited(tree);
    for law in laws.iter().filter(|law| !cited.contains_key(law)) {
        problems.push(Problem::file(
            CONTRACT,
            format!("law L{law} is cited by no case in {CASES}"),
        ));
    }
    for (law, place) in cited.iter().filter(|(law, _)| !laws.contains(law)) {
        problems.push(Problem::file(
            place,
            format!("law L{law} is cited but not written in {CONTRACT}"),
        ));
    }
    problems
}

/// The laws a contract declares, in the order of the text.
fn written(text: &str) -> Vec<u32> {
    let marks = |line: &str| -> Vec<u32> {
        line.split("**")
            .skip(1)
            .step_by(2)
            .filter_map(|bold| number(bold.trim_end_matches('.')))
            .collect()
    };
    doc_lines(text).flat_map(marks).collect()
}

/// The laws the cases cite, each with the first file that does.
fn cited(tree: &Tree) -> BTreeMap<u32, String> {
    let mut laws = BTreeMap::new();
    for path in tree.below(CASES) {
        let text = tree.text(path).unwrap_or_default();
        let quoted = text.split('"').filter_map(number);
        let documented = doc_lines(text).flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()));
        for law in quoted.chain(documented.filter_map(number)) {
            laws.entry(law).or_insert_with(|| path.to_owned());
        }
    }
    laws
}

/// The number in exactly `L<number>`.
fn number(word: &str) -> Option<u32> {
    let digits = word.strip_prefix('L')?;
    digits
        .chars()
        .all(|c| c.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAWS: &str =
        "//! The contract.\n//! * **L1** insert is atomic.\n//! * **L2.** duplicate is an answer.\n";

    fn tree(laws: &str, case: &str) -> Tree {
        Tree::of(&[(CONTRACT, laws), ("conformance-tests/src/cases/insert.rs", case)])
    }

    #[test]
    fn cited_laws_pass() {
        assert_eq!(
            check(&tree(LAWS, "/// Proves L1.\nfn a() {}\ncase(\"L2\", b)")),
            []
        );
    }

    #[test]
    fn a_law_without_a_case_is_found() {
        let problems = check(&tree(
            LAWS,
            "/// Proves L1.\n// L2 in a plain comment does not count\n",
        ));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].what.starts_with("law L2 is cited by no case"));
    }

    #[test]
    fn a_cited_law_must_exist() {
        let problems = check(&tree(LAWS, "//! L1, L2 and L3.\n"));
        assert_eq!(problems[0].place, "conformance-tests/src/cases/insert.rs");
    }

    #[test]
    fn laws_are_numbered_without_a_gap() {
        let problems = check(&tree("//! **L1** a\n//! **L3** b\n", "//! L1 L3\n"));
        assert_eq!(problems[0].what, "law L3 stands where L2 is due");
        assert_eq!(check(&Tree::of(&[])).len(), 1);
    }
}

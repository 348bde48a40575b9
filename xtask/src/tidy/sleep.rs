//! No test waits in real time: it advances the manual clock, or waits for a signal.

use super::Problem;
use super::source::{code, has_word};
use super::tree::{Tree, is_in};

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.texts("rs").filter(|(path, _)| is_test(path)) {
        for (index, line) in code(text).lines().enumerate() {
            // The clock's own `sleep_until(` is another word.
            if has_word(line, "sleep(") {
                problems.push(Problem::line(
                    path,
                    index + 1,
                    "a test must not sleep; advance the manual clock",
                ));
            }
        }
    }
    problems
}

fn is_test(path: &str) -> bool {
    is_in(path, "tests") || path.ends_with("_test.rs") || path.starts_with("conformance-tests/src/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nap_in_a_test_is_found() {
        let nap = "//! Doc.\nfn f() { std::thread::sleep(d); }\n";
        let tree = Tree::of(&[
            ("a/tests/it/main.rs", nap),
            ("a/src/x_test.rs", nap),
            ("a/src/clock.rs", nap),
            ("conformance-tests/src/cases/lease.rs", nap),
        ]);
        let places: Vec<_> = check(&tree).into_iter().map(|problem| problem.place).collect();
        assert_eq!(
            places,
            [
                "a/src/x_test.rs:2",
                "a/tests/it/main.rs:2",
                "conformance-tests/src/cases/lease.rs:2"
            ]
        );
    }

    #[test]
    fn the_manual_clock_may_wait() {
        let text = "clock.sleep_until(t).await; // not sleep(\n";
        assert_eq!(check(&Tree::of(&[("a/tests/x.rs", text)])), []);
    }
}

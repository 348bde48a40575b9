//! Every generated page is there, and a test compares it with what generates it.

use super::Problem;
use super::source::without_comments;
use super::tree::Tree;

/// The generated pages, each with the test that compares it.
const PAGES: &[(&str, &str)] = &[(
    "retry-core/docs/state-machine.md",
    "retry-core/src/machine/machine_test.rs",
)];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (page, test) in PAGES {
        if !tree.has(page) {
            problems.push(Problem::file(page, "the generated page is missing"));
        }
        // The text itself is compared by the test, which can call the generator; here only that it still does.
        let in_crate = page.split_once('/').map_or(*page, |(_, path)| path);
        let compares = |text: &str| without_comments(text).contains(in_crate);
        if !tree.text(test).is_some_and(compares) {
            problems.push(Problem::file(
                test,
                format!("no test here compares `{page}` with its generator"),
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_nobody_compares_is_found() {
        let (page, test) = PAGES[0];
        let compares = format!("let path = \"../{page}\";");
        assert_eq!(check(&Tree::of(&[(page, ""), (test, &compares)])), []);
        assert_eq!(
            check(&Tree::of(&[(page, ""), (test, &format!("// {compares}"))])).len(),
            1
        );
        assert_eq!(check(&Tree::of(&[])).len(), 2 * PAGES.len());
    }
}

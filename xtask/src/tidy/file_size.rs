//! No source file is longer than one sitting; tests and generated files may be.

use super::Problem;
use super::tree::{Tree, is_in};

/// The longest source file, in lines.
const LIMIT: usize = 500;

/// What a generated file says in its first lines.
const GENERATED: &str = "@generated";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.texts("rs").filter(|(path, _)| is_in(path, "src")) {
        let count = text.lines().count();
        let is_test = path.ends_with("_test.rs") || is_in(path, "tests");
        let is_generated = text.lines().take(3).any(|line| line.contains(GENERATED));
        if count > LIMIT && !is_test && !is_generated {
            problems.push(Problem::file(
                path,
                format!("{count} lines, {LIMIT} is the most; split it"),
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found() {
        let (fits, long) = ("x\n".repeat(LIMIT), "x\n".repeat(LIMIT + 1));
        let generated = format!("//! Table. {GENERATED}\n{long}");
        let tree = Tree::of(&[
            ("a/src/fits.rs", &fits),
            ("a/src/long.rs", &long),
            ("a/src/long_test.rs", &long),
            ("a/src/table.rs", &generated),
            ("a/tests/long.rs", &long),
            ("src/lib.rs", &long),
        ]);
        let places: Vec<_> = check(&tree).into_iter().map(|problem| problem.place).collect();
        assert_eq!(places, ["a/src/long.rs", "src/lib.rs"]);
    }
}

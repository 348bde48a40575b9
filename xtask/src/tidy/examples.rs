//! Every example is in the gate's table, so that none exists that nobody runs.

use super::Problem;
use super::tree::Tree;
use crate::gate::EXAMPLES;

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let names: Vec<_> = EXAMPLES.iter().map(|example| example.name).collect();
    compare(tree, &names)
}

fn compare(tree: &Tree, names: &[&str]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for (path, _) in tree.texts("rs") {
        if let Some(name) = example(path) {
            found.push(name);
            if !names.contains(&name) {
                problems.push(Problem::file(
                    path,
                    "this example is not in the table of xtask/src/gate/examples.rs",
                ));
            }
        }
    }
    let missing = names.iter().filter(|name| !found.contains(name));
    problems.extend(missing.map(|name| Problem::file("examples", format!("there is no example `{name}`"))));
    problems
}

/// The name of the example this file is the start of: `examples/name.rs` or `examples/name/main.rs` of any crate.
fn example(path: &str) -> Option<&str> {
    let inner = match path.strip_prefix("examples/") {
        Some(inner) => inner,
        None => path.split_once('/')?.1.strip_prefix("examples/")?,
    };
    let name = inner
        .strip_suffix("/main.rs")
        .or_else(|| inner.strip_suffix(".rs"))?;
    (!name.contains('/')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_files_agree() {
        let tree = Tree::of(&[
            ("examples/orders.rs", ""),
            ("examples/big/main.rs", ""),
            ("examples/big/part.rs", ""),
            ("retry-x/examples/small.rs", ""),
            ("xtask/src/gate/examples.rs", ""),
        ]);
        assert_eq!(compare(&tree, &["orders", "big", "small"]), []);
        assert_eq!(
            compare(&tree, &["orders", "big"])[0].place,
            "retry-x/examples/small.rs"
        );
        assert_eq!(
            compare(&tree, &["orders", "big", "small", "gone"])[0].what,
            "there is no example `gone`"
        );
    }
}

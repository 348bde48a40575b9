//! Every relative link in a Markdown file leads to a file or folder that exists.

use super::Problem;
use super::tree::{Tree, folder_of, resolve};

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.texts("md") {
        for (number, target) in links(text) {
            let exists = resolve(folder_of(path), target).is_some_and(|file| tree.has(&file));
            if !exists {
                problems.push(Problem::line(
                    path,
                    number,
                    format!("the link `{target}` leads nowhere"),
                ));
            }
        }
    }
    problems
}

/// The relative targets of a page with their line numbers; code is not looked at.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            let targets = prose(line).flat_map(inline).chain(definition(line));
            found.extend(targets.filter_map(relative).map(|target| (index + 1, target)));
        }
    }
    found
}

/// The parts of a line that are not code, except that a link's text may be code.
fn prose(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').step_by(2)
}

/// The targets of `[text](target)`; the text may have been cut off.
fn inline(part: &str) -> impl Iterator<Item = &str> {
    part.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target)
}

/// The target of a line `[name]: target`.
fn definition(line: &str) -> Option<&str> {
    let (name, target) = line.trim_start().strip_prefix('[')?.split_once("]:")?;
    (!name.contains(']')).then_some(target)
}

/// The path in a target, when it is one: no address, no anchor on the same page, no item of the documentation.
fn relative(target: &str) -> Option<&str> {
    let target = target
        .split_whitespace()
        .next()?
        .trim_start_matches('<')
        .trim_end_matches('>');
    let path = target.split('#').next()?;
    let elsewhere = target.contains("://") || target.starts_with("mailto:") || target.contains("::");
    (!path.is_empty() && !elsewhere).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text = "[a](docs/a.md) [b](docs/a.md#part \"title\") [c](#here) [d](https://x.y/z) [`e`](src)\n\
                    `[f](nowhere.md)` [g](crate::Worker)\n```text\n[h](nowhere.md)\n```\n[i]: docs/a.md\n";
        let tree = Tree::of(&[
            ("README.md", text),
            ("docs/a.md", "[up](../README.md)"),
            ("src/lib.rs", ""),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let text = "[a](a.md)\n\n[b](../out.md) [`code`](c.md)\n[d]: <e.md>\n";
        let tree = Tree::of(&[("docs/x.md", text), ("a.md", "")]);
        let places: Vec<_> = check(&tree).into_iter().map(|problem| problem.place).collect();
        assert_eq!(
            places,
            ["docs/x.md:1", "docs/x.md:3", "docs/x.md:3", "docs/x.md:4"]
        );
    }
}

//! The pure layer of `retry-core` stays pure: what it decides depends on its arguments alone.

use super::Problem;
use super::source::code;
use super::tree::Tree;

/// The modules of the layer, each a file or a folder in `retry-core/src`.
const MODULES: &[&str] = &[
    "time", "id", "name", "limits", "priority", "payload", "headers", "policy", "task", "draft", "machine",
];

/// What would let the world in.
const FORBIDDEN: &[&str] = &["async ", "tokio", "tracing", "Clock", "SystemTime", "Instant"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for module in MODULES {
        let base = format!("retry-core/src/{module}");
        let (file, tests, folder) = (
            format!("{base}.rs"),
            format!("{base}_test.rs"),
            format!("{base}/"),
        );
        let belongs = |path: &str| path == file || path == tests || path.starts_with(&folder);
        let mut found = false;
        for (path, text) in tree.texts("rs").filter(|(path, _)| belongs(path)) {
            found = true;
            problems.extend(impurities(path, text));
        }
        if !found {
            problems.push(Problem::file(
                &file,
                "a module of the pure layer is gone; correct the table in xtask",
            ));
        }
    }
    problems
}

fn impurities(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in code(text).lines().enumerate() {
        for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
            problems.push(Problem::line(
                path,
                index + 1,
                format!("`{}` in the pure layer", word.trim()),
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_forbidden_word_is_found() {
        for word in FORBIDDEN {
            let text = format!("//! Doc.\nuse crate::{word};\n");
            assert_eq!(impurities("a.rs", &text)[0].place, "a.rs:2", "{word}");
        }
        assert_eq!(
            impurities("a.rs", "//! No Clock, no tokio.\nconst S: &str = \"async \";\n"),
            []
        );
    }

    #[test]
    fn files_and_folders_are_covered() {
        let paths: Vec<_> = MODULES
            .iter()
            .map(|module| format!("retry-core/src/{module}/mod.rs"))
            .collect();
        let mut files: Vec<_> = paths.iter().map(|path| (path.as_str(), "//! Doc.\n")).collect();
        assert_eq!(check(&Tree::of(&files)), []);
        files.push(("retry-core/src/machine/apply.rs", "use tokio::time;\n"));
        files.push(("retry-core/src/engine/pump.rs", "use tokio::time;\n"));
        assert_eq!(
            check(&Tree::of(&files))[0].place,
            "retry-core/src/machine/apply.rs:1"
        );
        assert_eq!(check(&Tree::of(&files)).len(), 1);
        assert_eq!(check(&Tree::of(&[])).len(), MODULES.len());
    }
}

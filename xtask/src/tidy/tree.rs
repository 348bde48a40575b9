//! The source tree as data: paths relative to the root, and the text of the files the checks read.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

/// Endings of the files whose text is read.
const TEXT: &[&str] = &["rs", "sql", "lua", "md", "toml", "tsv", "txt"];

/// Hidden folders that belong to the project.
const HIDDEN: &[&str] = &[".cargo", ".ci", ".github"];

/// All files of the project; `None` for the text of those no check reads.
#[derive(Debug, Default)]
pub(super) struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads the tree below a folder.
    pub(super) fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let skipped = name == "target" || (name.starts_with('.') && !HIDDEN.contains(&name.as_str()));
                if !skipped {
                    self.read_folder(&entry.path(), &format!("{path}/"))?;
                }
            } else {
                let is_text =
                    ending(&path).is_some_and(|end| TEXT.contains(&end)) || path.starts_with(".ci/");
                let text = if is_text && kind.is_file() {
                    Some(fs::read_to_string(entry.path())?)
                } else {
                    None
                };
                self.files.insert(path, text);
            }
        }
        Ok(())
    }

    /// A tree for the tests of the checks.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned())))
            .collect();
        Self { files }
    }

    /// The text of one file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether there is a file or a folder of this path; the empty path is the root.
    pub(super) fn has(&self, path: &str) -> bool {
        path.is_empty() || self.files.contains_key(path) || self.below(path).next().is_some()
    }

    /// The paths of the files below a folder, at any depth.
    pub(super) fn below(&self, folder: &str) -> impl Iterator<Item = &str> {
        let prefix = format!("{folder}/");
        let start = prefix.clone();
        self.files
            .range(start..)
            .map(|(path, _)| path.as_str())
            .take_while(move |path| path.starts_with(&prefix))
    }

    /// The path and text of every file with this ending.
    pub(super) fn texts(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(move |(path, _)| ending(path) == Some(end))
            .filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The names in the root folder, files and folders.
    pub(super) fn top(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .files
            .keys()
            .map(|path| path.split('/').next().unwrap_or(path))
            .collect();
        names.dedup();
        names
    }
}

/// What stands after the last dot of a path's last part.
fn ending(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?;
    name.rsplit_once('.').map(|(_, end)| end)
}

/// The folder a path is in, empty for the root.
pub(super) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A relative path as seen from a folder, with `.` and `..` resolved; `None` when it leaves the tree.
pub(super) fn resolve(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

/// Whether a path has a folder of this name.
pub(super) fn is_in(path: &str, name: &str) -> bool {
    folder_of(path).split('/').any(|part| part == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_found() {
        let tree = Tree::of(&[("a/b/c.rs", "x"), ("a/b.md", "y"), ("ab/d.rs", "z")]);
        assert!(tree.has("a") && tree.has("a/b") && tree.has("a/b/c.rs") && tree.has(""));
        assert!(!tree.has("b") && !tree.has("a/b/c"));
        assert_eq!(tree.below("a").collect::<Vec<_>>(), ["a/b.md", "a/b/c.rs"]);
        assert_eq!(
            tree.texts("rs").collect::<Vec<_>>(),
            [("a/b/c.rs", "x"), ("ab/d.rs", "z")]
        );
        assert_eq!(tree.top(), ["a", "ab"]);
    }

    #[test]
    fn relative_paths_are_resolved() {
        assert_eq!(resolve("a/b", "../c.md").as_deref(), Some("a/c.md"));
        assert_eq!(resolve("", "./docs/").as_deref(), Some("docs"));
        assert_eq!(resolve("a", "../../outside"), None);
        assert!(is_in("a/tests/it/main.rs", "tests") && !is_in("a/src/tests.rs", "tests"));
    }

    #[test]
    fn this_very_crate_can_be_read() {
        let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(
            tree.text("src/tidy/tree.rs")
                .is_some_and(|text| text.starts_with("//!"))
        );
    }
}

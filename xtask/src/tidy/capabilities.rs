//! The table of stores in the documentation is made of what each store's suite wrote down.

use super::Problem;
use super::tree::Tree;

/// The page with the table.
const PAGE: &str = "docs/stores.md";

/// What a store's run of the suite wrote, in its crate.
const FILE: &str = "capabilities.tsv";

/// Rows by crate, in the order of the table.
const STORES: &[(&str, &str)] = &[
    ("retry-sqlite", "SQLite"),
    ("retry-postgres", "PostgreSQL"),
    ("retry-mysql", "MySQL, MariaDB"),
    ("retry-redis", "Redis, Valkey"),
    ("retry-sled", "sled"),
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let table = match table(tree) {
        Ok(table) => table,
        Err(problem) => return vec![problem],
    };
    if tree.text(PAGE).is_some_and(|page| page.contains(&table)) {
        return Vec::new();
    }
    let what = format!("the table is not what the suite wrote; it should be\n{table}");
    vec![Problem::file(PAGE, what)]
}

/// The table, one store a row, one fact a column.
fn table(tree: &Tree) -> Result<String, Problem> {
    let mut text = String::new();
    for (folder, store) in STORES {
        let path = format!("{folder}/{FILE}");
        let missing = || {
            Problem::file(
                &path,
                "it is missing; the store's conformance test writes it with UPDATE_DOCS=1",
            )
        };
        let facts = facts(tree.text(&path).ok_or_else(missing)?);
        if text.is_empty() {
            let names: Vec<_> = facts.iter().map(|(name, _)| *name).collect();
            text = format!(
                "| store | {} |\n|---|{}\n",
                names.join(" | "),
                "---|".repeat(names.len())
            );
        }
        let values: Vec<_> = facts.iter().map(|(_, value)| *value).collect();
        text += &format!("| {store} | {} |\n", values.join(" | "));
    }
    Ok(text)
}

fn facts(text: &str) -> Vec<(&str, &str)> {
    text.lines().filter_map(|line| line.split_once('\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(page: &str) -> Tree {
        let paths: Vec<_> = STORES
            .iter()
            .map(|(folder, _)| format!("{folder}/{FILE}"))
            .collect();
        let mut files: Vec<_> = paths
            .iter()
            .map(|path| (path.as_str(), "flies\tno\ncases\t7\n"))
            .collect();
        files.push((PAGE, page));
        Tree::of(&files)
    }

    #[test]
    fn the_table_has_a_row_for_each_store() {
        let made = table(&tree("")).unwrap();
        assert!(made.starts_with("| store | flies | cases |\n|---|---|---|\n| SQLite | no | 7 |\n"));
        assert!(check(&tree(&format!("# Stores\n\n{made}"))).is_empty());
    }

    #[test]
    fn another_table_or_none_is_found() {
        assert_eq!(check(&tree("| store | flies |\n"))[0].place, PAGE);
        assert_eq!(check(&Tree::of(&[]))[0].place, "retry-sqlite/capabilities.tsv");
    }
}

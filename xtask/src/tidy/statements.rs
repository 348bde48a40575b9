//! Statements in files of their own: each is used, and none asks the server what time it is.

use std::collections::BTreeSet;

use super::Problem;
use super::source::{has_word, without_comments};
use super::tree::{Tree, folder_of, resolve};

/// Ways to ask a server's clock, in lower case.
const CLOCKS: &[&str] = &[
    "now(",
    "'now'",
    "current_timestamp",
    "current_time",
    "current_date",
    "localtimestamp",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "utc_timestamp",
    "sysdate",
    "strftime",
    "julianday",
    "unixepoch",
];

/// Redis' command, which is told from the word by its case.
const REDIS_CLOCK: &str = "TIME";

/// The one statement of a store that is its `time`, by the file's name.
const ALLOWED: &[&str] = &["time.sql", "time.lua"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let included = included(tree);
    let mut problems = Vec::new();
    for (path, text) in tree.texts("sql").chain(tree.texts("lua")) {
        if !included.contains(path) {
            problems.push(Problem::file(path, "no `include_str!` uses this file"));
        }
        if !ALLOWED.iter().any(|name| path.ends_with(&format!("/{name}"))) {
            problems.extend(clocks(path, text));
        }
    }
    problems
}

/// The paths of all files that some source file includes.
fn included(tree: &Tree) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (path, text) in tree.texts("rs") {
        let text = without_comments(text);
        for call in text.split("include_str!").skip(1) {
            let argument = call.trim_start_matches([' ', '\n', '(']);
            let literal = argument.strip_prefix('"').and_then(|rest| rest.split_once('"'));
            paths.extend(literal.and_then(|(file, _)| resolve(folder_of(path), file)));
        }
    }
    paths
}

fn clocks(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        // Both languages start a comment the same way.
        let line = line.split_once("--").map_or(line, |(code, _)| code);
        let lower = line.to_lowercase();
        let clock = CLOCKS.iter().find(|clock| has_word(&lower, clock));
        let clock = clock.or_else(|| has_word(line, REDIS_CLOCK).then_some(&REDIS_CLOCK));
        if let Some(clock) = clock {
            problems.push(Problem::line(
                path,
                index + 1,
                format!("`{clock}`: time is always bound, never asked"),
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERIES: &str = "//! Q.\nconst CLAIM: &str = include_str!(\n    \"../sql/claim.sql\");\n\
                           // include_str!(\"../sql/old.sql\")\n";

    #[test]
    fn a_file_nobody_includes_is_dead() {
        let tree = Tree::of(&[
            ("retry-x/src/queries.rs", QUERIES),
            ("retry-x/sql/claim.sql", "select 1"),
            ("retry-x/sql/old.sql", "select 1"),
            ("retry-y/sql/claim.sql", "select 1"),
        ]);
        let places: Vec<_> = check(&tree).into_iter().map(|problem| problem.place).collect();
        assert_eq!(places, ["retry-x/sql/old.sql", "retry-y/sql/claim.sql"]);
    }

    #[test]
    fn the_servers_clock_is_found() {
        for line in [
            "select NOW()",
            "set x = Current_Timestamp",
            "select strftime('%s')",
            "select datetime('now')",
            "redis.call('TIME')",
            "where julianday(x) > unixepoch()",
        ] {
            assert_eq!(
                clocks("a.sql", &format!("select 1\n{line}"))[0].place,
                "a.sql:2",
                "{line}"
            );
        }
    }

    #[test]
    fn bound_time_is_fine() {
        assert_eq!(
            clocks(
                "a.sql",
                "-- not now()\nwhere run_at <= :now and known(1) and sometime > lifetime"
            ),
            []
        );
        let queries = "const TIME: &str = include_str!(\"../sql/time.sql\");";
        let tree = Tree::of(&[
            ("retry-x/src/queries.rs", queries),
            ("retry-x/sql/time.sql", "select now()"),
        ]);
        assert_eq!(check(&tree), []);
    }
}

//! The README's two commands are real: how to run an example, and how to test, which is what CI calls.

use super::Problem;
use super::tree::Tree;

const README: &str = "README.md";
const CI: &str = ".ci/run";

/// The command that tests everything.
const TEST: &str = "cargo xtask ci --install";

/// How the command that shows the project at work starts; the example's name follows.
const RUN: &str = "cargo run --example ";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    let commands = tree.text(README).map(commands).unwrap_or_default();
    if !commands.contains(&TEST) {
        problems.push(Problem::file(
            README,
            format!("`{TEST}` is in no fenced `sh` block"),
        ));
    }
    match commands.iter().find_map(|command| command.strip_prefix(RUN)) {
        None => problems.push(Problem::file(
            README,
            format!("`{RUN}…` is in no fenced `sh` block"),
        )),
        Some(rest) => {
            let name = rest.split_whitespace().next().unwrap_or_default();
            if !tree.has(&format!("examples/{name}.rs")) && !tree.has(&format!("examples/{name}/main.rs")) {
                problems.push(Problem::file(README, format!("there is no example `{name}`")));
            }
        }
    }
    let calls_it = |script: &str| {
        script
            .lines()
            .any(|line| line.trim().trim_start_matches("exec ") == TEST)
    };
    if !tree.text(CI).is_some_and(calls_it) {
        problems.push(Problem::file(
            CI,
            format!("does not call the README's test command `{TEST}`"),
        ));
    }
    problems
}

/// The lines in the fenced blocks of shell commands.
fn commands(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut fence: Option<bool> = None;
    for line in text.lines().map(str::trim) {
        match (line.strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(language), None) => fence = Some(language == "sh"),
            (None, Some(true)) => found.push(line),
            (None, _) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# X\n```sh\ncargo run --example orders -- --db x.db\n```\ntext\n```sh\ncargo xtask ci --install\n```\n";

    fn problems(readme: &str, ci: &str) -> Vec<String> {
        let tree = Tree::of(&[(README, readme), (CI, ci), ("examples/orders.rs", "")]);
        check(&tree).into_iter().map(|problem| problem.what).collect()
    }

    #[test]
    fn both_commands_pass() {
        assert!(problems(GOOD, "#!/bin/bash\nset -e\ncargo xtask ci --install\n").is_empty());
    }

    #[test]
    fn each_missing_command_is_found() {
        assert_eq!(
            problems(
                "```rust\ncargo xtask ci --install\n```\ncargo run --example orders\n",
                TEST
            )
            .len(),
            2
        );
        assert_eq!(
            problems(&GOOD.replace("orders", "nothing"), TEST),
            ["there is no example `nothing`"]
        );
        assert!(problems(GOOD, "# cargo xtask ci --install\ncargo test\n")[0].contains("does not call"));
        assert_eq!(check(&Tree::of(&[])).len(), 3);
    }
}

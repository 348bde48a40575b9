//! The command line: words in, a [`Command`] out.

use crate::gate;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
The project's own tool.

    cargo xtask ci                 run the whole gate; it changes no file of the project
    cargo xtask ci --only STEP     run one step (may be repeated)
    cargo xtask ci --list          list the steps
    cargo xtask tidy               check the source tree only
    cargo xtask tidy --list        list the checks
    cargo xtask --help             print this";

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print the help.
    Help,
    /// Print the names of the gate's steps.
    ListSteps,
    /// Print the names of the tidy checks.
    ListChecks,
    /// Run the gate; `only` empty means every step.
    Ci {
        /// Names of the steps to run.
        only: Vec<String>,
    },
    /// Run the tidy checks.
    Tidy,
}

/// Reads the words after the program's name.
pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let words: Vec<String> = words.into_iter().collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.iter().any(|word| matches!(*word, "--help" | "-h")) {
        return Ok(Command::Help);
    }
    match words.as_slice() {
        [] => Err("a command is missing".to_owned()),
        ["help"] => Ok(Command::Help),
        ["ci", "--list"] => Ok(Command::ListSteps),
        ["ci", rest @ ..] => parse_only(rest),
        ["tidy"] => Ok(Command::Tidy),
        ["tidy", "--list"] => Ok(Command::ListChecks),
        ["tidy", rest @ ..] => Err(format!("`tidy` does not know `{}`", rest.join(" "))),
        [other, ..] => Err(format!("there is no command `{other}`")),
    }
}

fn parse_only(mut words: &[&str]) -> Result<Command, String> {
    let mut only = Vec::new();
    loop {
        match words {
            [] => return Ok(Command::Ci { only }),
            ["--only"] => return Err("`--only` needs the name of a step".to_owned()),
            ["--only", name, rest @ ..] => {
                if !gate::names().any(|known| known == *name) {
                    let known: Vec<_> = gate::names().collect();
                    return Err(format!(
                        "there is no step `{name}`; the steps are {}",
                        known.join(", ")
                    ));
                }
                only.push((*name).to_owned());
                words = rest;
            }
            [other, ..] => return Err(format!("`ci` does not know `{other}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn commands_are_understood() {
        assert_eq!(parsed("ci"), Ok(Command::Ci { only: vec![] }));
        let only = vec!["fmt".to_owned(), "tidy".to_owned()];
        assert_eq!(parsed("ci --only fmt --only tidy"), Ok(Command::Ci { only }));
        assert_eq!(parsed("ci --list"), Ok(Command::ListSteps));
        assert_eq!(parsed("tidy"), Ok(Command::Tidy));
        assert_eq!(parsed("tidy --list"), Ok(Command::ListChecks));
        assert_eq!(parsed("--help"), Ok(Command::Help));
        assert_eq!(parsed("ci --help"), Ok(Command::Help));
    }

    #[test]
    fn mistakes_are_named() {
        for line in [
            "",
            "build",
            "ci --fast",
            "ci --only",
            "ci --only nothing",
            "tidy now",
        ] {
            assert!(parsed(line).is_err(), "`{line}` must be refused");
        }
    }
}

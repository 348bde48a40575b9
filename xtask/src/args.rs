//! The command line: words in, a [`Command`] out.

use crate::gate;
use crate::servers::{Action, Request};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
The project's own tool.

    cargo xtask ci                 run the whole gate; it changes no file of the project
        --install                  install the databases that are missing first (Debian packages, as root)
    cargo xtask ci --only STEP     run one step (may be repeated)
    cargo xtask ci --list          list the steps
    cargo xtask tidy               check the source tree only
    cargo xtask tidy --list        list the checks
    cargo xtask sim [OPTION …]     simulate clients and workers on a failing store ; `sim help` lists the options
    cargo xtask sim-mutants [NAME …]
                                   check that the simulation catches each mutant of the engine
    cargo xtask relay-mutants [NAME …]
                                   check that the relay's histories catch each mutant of the relay
    cargo xtask torture [OPTION …] kill, stop and cut off real processes on one store; `torture help` lists the options
    cargo xtask servers            start throw-away databases, print how to reach them, stop them on Ctrl-C
    cargo xtask servers -- COMMAND …
                                   run a command with them: `cargo xtask servers -- cargo test`
    cargo xtask servers list       the ones that run, whoever started them
    cargo xtask servers kill KIND|URL|PORT
                                   kill (SIGKILL) those of a kind that `cargo xtask servers` started, never those of a test that
                                   is running; or the one at a URL or port, whoever started it
    cargo xtask servers restart KIND|URL|PORT
                                   the same, and start it again with its data
        --only KIND,…              postgres, pgbouncer, mysql, redis, redis-cluster, nats, rabbitmq; every kind without it
        --install                  install what is missing first (Debian packages, as root)
                                   a server of your own is used in place of a started one where its URL is in a variable:
                                   RETRY_TEST_POSTGRES_URL, RETRY_TEST_MYSQL_URL, RETRY_TEST_REDIS_URL,
                                   RETRY_TEST_PGBOUNCER_URL (several with commas between them; the tests run on each),
                                   RETRY_TEST_REDIS_CLUSTER_URL (redis-cluster://NODE,NODE,NODE; a blank between several),
                                   RETRY_TEST_NATS_URL, RETRY_TEST_RABBITMQ_URL
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
        /// Install the databases that are missing first.
        install: bool,
        /// Names of the steps to run.
        only: Vec<String>,
    },
    /// Run the tidy checks.
    Tidy,
    /// Run the simulator with these words.
    Sim {
        /// What the simulator is told.
        words: Vec<String>,
    },
    /// Torture a store with these words.
    Torture {
        /// What the torture is told.
        words: Vec<String>,
    },
    /// Start databases, or act on those that run.
    Servers(Request),
    /// Live the relay's histories with mutants of the relay.
    RelayMutants {
        /// Names of the mutants; empty means all.
        only: Vec<String>,
    },
    /// Run the simulator on mutants of the engine.
    SimMutants {
        /// Names of the mutants; empty means all.
        only: Vec<String>,
    },
}

/// Reads the words after the program's name.
pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let words: Vec<String> = words.into_iter().collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // What stands behind it belongs to another program.
    let mut own = words.iter().take_while(|word| **word != "--");
    if own.any(|word| matches!(*word, "--help" | "-h")) {
        return Ok(Command::Help);
    }
    match words.as_slice() {
        [] => Err("a command is missing".to_owned()),
        ["help"] => Ok(Command::Help),
        ["ci", "--list"] => Ok(Command::ListSteps),
        ["ci", rest @ ..] => parse_ci(rest),
        ["tidy"] => Ok(Command::Tidy),
        ["tidy", "--list"] => Ok(Command::ListChecks),
        ["sim", rest @ ..] => Ok(Command::Sim { words: owned(rest) }),
        ["servers", rest @ ..] => parse_servers(rest).map(Command::Servers),
        ["torture", rest @ ..] => Ok(Command::Torture { words: owned(rest) }),
        ["relay-mutants", rest @ ..] => Ok(Command::RelayMutants { only: owned(rest) }),
        ["sim-mutants", rest @ ..] => Ok(Command::SimMutants { only: owned(rest) }),
        ["tidy", rest @ ..] => Err(format!("`tidy` does not know `{}`", rest.join(" "))),
        [other, ..] => Err(format!("there is no command `{other}`")),
    }
}

fn parse_servers(mut words: &[&str]) -> Result<Request, String> {
    let mut request = Request {
        kinds: Vec::new(),
        install: false,
        action: Action::Hold,
    };
    loop {
        match words {
            [] => return Ok(request),
            ["--install", rest @ ..] => {
                request.install = true;
                words = rest;
            }
            ["--only", names, rest @ ..] => {
                request.kinds = names.split(',').map(str::parse).collect::<Result<_, _>>()?;
                words = rest;
            }
            ["--only"] => return Err("`--only` needs the names of servers".to_owned()),
            ["--"] => return Err("a command is missing behind `--`".to_owned()),
            ["--", command @ ..] => {
                request.action = Action::Run(owned(command));
                return Ok(request);
            }
            ["list"] => {
                request.action = Action::List;
                return Ok(request);
            }
            ["kill", target] => {
                request.action = Action::Kill(target.parse()?);
                return Ok(request);
            }
            ["restart", target] => {
                request.action = Action::Restart(target.parse()?);
                return Ok(request);
            }
            [other, ..] => return Err(format!("`servers` does not know `{other}`")),
        }
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn parse_ci(mut words: &[&str]) -> Result<Command, String> {
    let (mut install, mut only) = (false, Vec::new());
    loop {
        match words {
            [] => return Ok(Command::Ci { install, only }),
            ["--install", rest @ ..] => {
                install = true;
                words = rest;
            }
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
    use test_servers::Kind;

    use super::*;
    use crate::servers::Target;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn commands_are_understood() {
        let ci = |install, only| Ok(Command::Ci { install, only });
        assert_eq!(parsed("ci"), ci(false, vec![]));
        assert_eq!(parsed("ci --install"), ci(true, vec![]));
        let only = vec!["fmt".to_owned(), "tidy".to_owned()];
        assert_eq!(parsed("ci --only fmt --only tidy"), ci(false, only));
        assert_eq!(parsed("ci --list"), Ok(Command::ListSteps));
        assert_eq!(parsed("tidy"), Ok(Command::Tidy));
        assert_eq!(parsed("tidy --list"), Ok(Command::ListChecks));
        let words = vec!["--seed".to_owned(), "0x1".to_owned()];
        assert_eq!(parsed("sim --seed 0x1"), Ok(Command::Sim { words }));
        let words = vec!["--quick".to_owned()];
        assert_eq!(parsed("torture --quick"), Ok(Command::Torture { words }));
        assert_eq!(parsed("sim-mutants"), Ok(Command::SimMutants { only: vec![] }));
        assert_eq!(
            parsed("relay-mutants"),
            Ok(Command::RelayMutants { only: vec![] })
        );
        let words = vec!["cargo".to_owned(), "test".to_owned(), "--help".to_owned()];
        assert_eq!(
            parsed("servers --install --only redis,postgres -- cargo test --help"),
            Ok(Command::Servers(Request {
                kinds: vec![Kind::Redis, Kind::Postgres],
                install: true,
                action: Action::Run(words),
            }))
        );
        assert_eq!(
            parsed("servers restart mysql"),
            Ok(Command::Servers(Request {
                kinds: vec![],
                install: false,
                action: Action::Restart(Target::Kind(Kind::MySql)),
            }))
        );
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
            "servers --only",
            "servers --only oracle",
            "servers --",
            "servers kill",
            "servers now",
        ] {
            assert!(parsed(line).is_err(), "`{line}` must be refused");
        }
    }
}

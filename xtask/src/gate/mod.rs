//! The gate: its steps in order, run one after another until one fails, and a summary at the end.
//!
//! Every step is read-only: it compares, builds into the target folder or runs in a temporary one, and `--locked`
//! keeps the lock file as it is. All steps share one target folder and build the workspace as a whole, so that a
//! dependency is compiled once for checking and once for running.

mod examples;
mod facade;
mod ignored;
mod steps;
mod summary;

use std::cell::OnceCell;
use std::path::Path;

use test_servers::Kind;

use crate::clock::Stopwatch;
use crate::servers::Servers;

pub(crate) use examples::EXAMPLES;
use summary::{Line, Verdict};

/// One step of the gate.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&Gate<'_>) -> Result<Done, String>,
}

/// What the steps share.
struct Gate<'a> {
    root: &'a Path,
    servers: OnceCell<Servers>,
}

impl<'a> Gate<'a> {
    const fn new(root: &'a Path) -> Self {
        Self {
            root,
            servers: OnceCell::new(),
        }
    }

    /// The databases, started when the first step asks for them. One that is missing fails the step.
    fn servers(&self) -> Result<&Servers, String> {
        if let Some(servers) = self.servers.get() {
            return Ok(servers);
        }
        let servers = Servers::start(&Kind::DATABASES)?;
        Ok(self.servers.get_or_init(|| servers))
    }
}

/// How a step that did not fail ended.
enum Done {
    Passed,
    /// Passed, but for what these lines say.
    But(Vec<String>),
    /// Not run, with the reason.
    Skipped(String),
}

/// The steps, the quick ones first.
const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "the code is formatted",
        run: steps::fmt,
    },
    Step {
        name: "tidy",
        about: "the source tree keeps its own rules",
        run: steps::tidy,
    },
    Step {
        name: "deny",
        about: "licences, advisories and sources of dependencies",
        run: steps::deny,
    },
    Step {
        name: "clippy",
        about: "no lint fires in any target",
        run: steps::clippy,
    },
    Step {
        name: "features",
        about: "each feature of the facade builds alone",
        run: facade::features,
    },
    Step {
        name: "test",
        about: "unit, conformance and documentation tests",
        run: steps::test,
    },
    Step {
        name: "sim",
        about: "simulated histories of clients and workers on a failing store",
        run: steps::sim,
    },
    Step {
        name: "torture",
        about: "on every store processes and servers are killed, and nothing is lost",
        run: steps::torture,
    },
    Step {
        name: "power",
        about: "the disk of every store loses its power, and nothing is lost",
        run: steps::power,
    },
    Step {
        name: "examples",
        about: "each example runs and ends well",
        run: examples::run,
    },
    Step {
        name: "docs",
        about: "the documentation builds without a warning",
        run: steps::docs,
    },
];

/// The names of the steps, in order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|step| step.name)
}

/// Prints the steps.
pub(crate) fn list() {
    for step in STEPS {
        println!("{:<10} {}", step.name, step.about);
    }
}

/// Runs the named steps, or all when none is named; answers whether all went well.
pub(crate) fn run(root: &Path, only: &[String]) -> bool {
    let wanted = |step: &&Step| only.is_empty() || only.iter().any(|name| name == step.name);
    let (lines, good) = run_steps(STEPS.iter().filter(wanted), &Gate::new(root));
    println!("\n{}", summary::render(&lines, only.is_empty()));
    good
}

/// Runs steps until one fails; the rest is reported as not run.
fn run_steps<'a>(steps: impl Iterator<Item = &'a Step>, gate: &Gate<'_>) -> (Vec<Line>, bool) {
    let mut lines = Vec::new();
    let mut good = true;
    for step in steps {
        if !good {
            lines.push(Line {
                name: step.name,
                verdict: Verdict::NotRun,
            });
            continue;
        }
        println!("\n== {}: {}", step.name, step.about);
        let watch = Stopwatch::start();
        let result = (step.run)(gate);
        let took = watch.elapsed();
        let verdict = match result {
            Ok(Done::Passed) => Verdict::Passed(took, Vec::new()),
            Ok(Done::But(notes)) => Verdict::Passed(took, notes),
            Ok(Done::Skipped(why)) => {
                println!("skipped: {why}");
                Verdict::Skipped(why)
            }
            Err(why) => {
                good = false;
                Verdict::Failed(took, why)
            }
        };
        lines.push(Line {
            name: step.name,
            verdict,
        });
    }
    (lines, good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut seen: Vec<_> = names().collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), STEPS.len());
    }

    #[test]
    fn the_first_failure_stops_the_rest() {
        let steps = [
            Step {
                name: "one",
                about: "",
                run: |_| Ok(Done::Skipped("no tool".to_owned())),
            },
            Step {
                name: "two",
                about: "",
                run: |_| Err("broken".to_owned()),
            },
            Step {
                name: "three",
                about: "",
                run: |_| panic!("must not run"),
            },
        ];
        let (lines, good) = run_steps(steps.iter(), &Gate::new(Path::new(".")));
        assert!(!good);
        assert!(matches!(lines[0].verdict, Verdict::Skipped(_)));
        assert!(matches!(lines[1].verdict, Verdict::Failed(..)));
        assert!(matches!(lines[2].verdict, Verdict::NotRun));
    }
}

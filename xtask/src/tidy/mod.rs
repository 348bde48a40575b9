//! Checks of the source tree: rules a compiler cannot see, one a file, each a pure function of a [`Tree`].

mod capabilities;
mod examples;
mod file_size;
mod generated;
mod laws;
mod layout;
mod links;
mod module_docs;
mod mutants;
mod pure;
mod readme;
mod sleep;
mod source;
mod statements;
mod tree;

use std::path::Path;

use tree::Tree;

/// One rule of the tree.
struct Check {
    name: &'static str,
    about: &'static str,
    find: fn(&Tree) -> Vec<Problem>,
}

/// One place where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    place: String,
    what: String,
}

impl Problem {
    /// A problem of a whole file or folder.
    fn file(path: &str, what: impl Into<String>) -> Self {
        Self {
            place: path.to_owned(),
            what: what.into(),
        }
    }

    /// A problem of one line, counted from one.
    fn line(path: &str, number: usize, what: impl Into<String>) -> Self {
        Self {
            place: format!("{path}:{number}"),
            what: what.into(),
        }
    }
}

const CHECKS: &[Check] = &[
    Check {
        name: "layout",
        about: "store crates have the same files",
        find: layout::check,
    },
    Check {
        name: "statements",
        about: "no dead statement, none asks the server's clock",
        find: statements::check,
    },
    Check {
        name: "module-docs",
        about: "each source file starts with its responsibility",
        find: module_docs::check,
    },
    Check {
        name: "file-size",
        about: "no source file is too long to read",
        find: file_size::check,
    },
    Check {
        name: "pure",
        about: "the pure layer has no time, task or log",
        find: pure::check,
    },
    Check {
        name: "sleep",
        about: "no test waits in real time",
        find: sleep::check,
    },
    Check {
        name: "laws",
        about: "each law has a conformance case",
        find: laws::check,
    },
    Check {
        name: "capabilities",
        about: "the table of stores says what the suite tested",
        find: capabilities::check,
    },
    Check {
        name: "readme",
        about: "the README's commands are the real ones",
        find: readme::check,
    },
    Check {
        name: "links",
        about: "each relative link has a target",
        find: links::check,
    },
    Check {
        name: "mutants",
        about: "each mutant of the engine finds its text",
        find: mutants::check,
    },
    Check {
        name: "examples",
        about: "each example is one the gate runs",
        find: examples::check,
    },
    Check {
        name: "generated",
        about: "each generated page is compared by a test",
        find: generated::check,
    },
];

/// Prints the checks.
pub(crate) fn list() {
    for check in CHECKS {
        println!("{:<12} {}", check.name, check.about);
    }
}

/// Runs every check on the workspace and prints each problem on its own line.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root).map_err(|error| format!("cannot read the source tree: {error}"))?;
    let mut count = 0;
    for check in CHECKS {
        for problem in (check.find)(&tree) {
            println!("{}: {} [{}]", problem.place, problem.what, check.name);
            count += 1;
        }
    }
    match count {
        0 => Ok(()),
        1 => Err("1 problem in the source tree".to_owned()),
        _ => Err(format!("{count} problems in the source tree")),
    }
}

//! `cargo xtask servers`: real databases for tests, started, listed, killed and restarted.

use std::env;
use std::io::{self, Read};
use std::process::Command;

use test_servers::{Error, Kind, Running, Server};

use crate::process;

/// What to do with which servers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The kinds; empty means every kind.
    pub(crate) kinds: Vec<Kind>,
    /// Install what is missing first.
    pub(crate) install: bool,
    pub(crate) action: Action,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start them, print how to reach them, and stop them at the end of standard input or on Ctrl-C.
    Hold,
    /// Start them, run a command that finds them by its variables, and stop them.
    Run(Vec<String>),
    /// Print those that run.
    List,
    /// Kill one that runs (SIGKILL).
    Kill(Kind),
    /// Kill one that runs and start it again with its data.
    Restart(Kind),
}

/// Does it.
pub(crate) fn run(request: &Request) -> Result<(), String> {
    let kinds = if request.kinds.is_empty() {
        &Kind::ALL[..]
    } else {
        &request.kinds[..]
    };
    if request.install {
        install(kinds)?;
    }
    match &request.action {
        Action::Hold => hold(kinds),
        Action::Run(words) => run_with(kinds, words),
        Action::List => each_running(|server| {
            println!("{:<14} {}", server.kind().name(), server.url());
            Ok(())
        }),
        Action::Kill(kind) => each_of(*kind, |server| {
            server.kill();
            Ok(())
        }),
        Action::Restart(kind) => each_of(*kind, |server| server.restart().map_err(told)),
    }
}

/// Installs what is missing.
pub(crate) fn install(kinds: &[Kind]) -> Result<(), String> {
    let packages = test_servers::install(kinds).map_err(told)?;
    if !packages.is_empty() {
        println!("installed {}", packages.join(" "));
    }
    Ok(())
}

/// Servers that were started for tests, and the variables by which tests find them.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    running: Vec<Server>,
}

impl Servers {
    /// Starts every kind whose variable is not set: a URL that was given is used as it is.
    pub(crate) fn start(kinds: &[Kind]) -> Result<Self, String> {
        let wanted = kinds.iter().filter(|kind| env::var_os(kind.variable()).is_none());
        let running = wanted.map(|kind| {
            let server = test_servers::start(*kind).map_err(told)?;
            println!("started {:<14} {}", kind.name(), server.url());
            Ok(server)
        });
        Ok(Self {
            running: running.collect::<Result<_, String>>()?,
        })
    }

    /// The variables and their values.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.running
            .iter()
            .map(|server| (server.kind().variable(), server.url()))
    }
}

fn hold(kinds: &[Kind]) -> Result<(), String> {
    let servers = Servers::start(kinds)?;
    println!();
    for (variable, url) in servers.variables() {
        println!("export {variable}={url}");
    }
    println!("\nThey stop with this program: Ctrl-C, or the end of its standard input.");
    io::stdin()
        .read_to_end(&mut Vec::new())
        .map_err(|error| format!("standard input: {error}"))?;
    Ok(())
}

fn run_with(kinds: &[Kind], words: &[String]) -> Result<(), String> {
    let servers = Servers::start(kinds)?;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).envs(servers.variables());
    process::run(command)
}

fn each_running(mut act: impl FnMut(&Running) -> Result<(), String>) -> Result<(), String> {
    let running = test_servers::running().map_err(|error| format!("the folder of servers: {error}"))?;
    running.iter().try_for_each(&mut act)
}

/// Acts on the running servers of a kind; that there is none is an error.
fn each_of(kind: Kind, mut act: impl FnMut(&Running) -> Result<(), String>) -> Result<(), String> {
    let mut acted = 0;
    each_running(|server| {
        if server.kind() == kind {
            acted += 1;
            act(server)?;
        }
        Ok(())
    })?;
    match acted {
        0 => Err(format!("no {kind} is running; `cargo xtask servers` starts one")),
        _ => Ok(()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn told(error: Error) -> String {
    match error {
        Error::Missing { .. } => format!("{error}; `cargo xtask servers --install` installs what is missing"),
        _ => error.to_string(),
    }
}

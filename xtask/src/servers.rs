//! `cargo xtask servers`: real databases for tests, started, listed, killed and restarted.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::process::Command;
use std::str::FromStr;

use test_servers::{Error, Kind, Running, Server, given};

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
    Kill(Target),
    /// Kill one that runs and start it again with its data.
    Restart(Target),
}

/// Which of the servers that run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Those of a kind that this command started. Others belong to somebody's test.
    Kind(Kind),
    /// The one at a port, whoever started it.
    Port(u16),
}

impl FromStr for Target {
    type Err = String;

    /// A kind, a port, or a URL with one.
    fn from_str(word: &str) -> Result<Self, String> {
        let port = match word.split_once("://") {
            Some((_, rest)) => {
                let place = rest.split(['/', '?', ',']).next().unwrap_or(rest);
                place.rsplit_once(':').map(|(_, port)| port)
            }
            None => Some(word).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit())),
        };
        match port.map(str::parse) {
            Some(Ok(port)) => Ok(Self::Port(port)),
            Some(Err(_)) => Err(format!("`{word}` has no port")),
            None if word.contains("://") => Err(format!("`{word}` has no port")),
            None => word.parse().map(Self::Kind),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(
                f,
                "no {kind} of `cargo xtask servers` is running (`list` shows all; name one by its URL)"
            ),
            Self::Port(port) => write!(f, "no server is running at port {port} (`list` shows all)"),
        }
    }
}

/// The file in the folder of a server that this command started.
const MARK: &str = "started-by-xtask-servers";

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
        Action::Kill(target) => each_of(target, |server| {
            server.kill();
            Ok(())
        }),
        Action::Restart(target) => each_of(target, |server| server.restart().map_err(told)),
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
    /// Starts every kind that is not given by its variable: a URL is used as it is.
    pub(crate) fn start(kinds: &[Kind]) -> Result<Self, String> {
        let wanted = kinds.iter().filter(|kind| given(**kind).is_empty());
        let running = wanted.map(|kind| {
            let server = test_servers::start(*kind).map_err(told)?;
            println!("started {:<14} {}", kind.name(), server.url());
            Ok(server)
        });
        Ok(Self {
            running: running.collect::<Result<_, String>>()?,
        })
    }

    /// Makes them known as those of this command, on which it may act from another terminal.
    fn marked(self) -> Result<Self, String> {
        for server in &self.running {
            let mark = server.folder().join(MARK);
            fs::write(&mark, "").map_err(|error| format!("{}: {error}", mark.display()))?;
        }
        Ok(self)
    }

    /// The variables and their values.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.running
            .iter()
            .map(|server| (server.kind().variable(), server.url()))
    }
}

fn hold(kinds: &[Kind]) -> Result<(), String> {
    let servers = Servers::start(kinds)?.marked()?;
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
    let servers = Servers::start(kinds)?.marked()?;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).envs(servers.variables());
    process::run(command)
}

fn each_running(mut act: impl FnMut(&Running) -> Result<(), String>) -> Result<(), String> {
    let running = test_servers::running().map_err(|error| format!("the folder of servers: {error}"))?;
    running.iter().try_for_each(&mut act)
}

/// Acts on the servers that are meant; that there is none is an error.
fn each_of(target: &Target, mut act: impl FnMut(&Running) -> Result<(), String>) -> Result<(), String> {
    let mut acted = 0;
    each_running(|server| {
        if is_meant(target, server) {
            acted += 1;
            act(server)?;
        }
        Ok(())
    })?;
    match acted {
        0 => Err(target.to_string()),
        _ => Ok(()),
    }
}

fn is_meant(target: &Target, server: &Running) -> bool {
    match target {
        Target::Kind(kind) => server.kind() == *kind && server.folder().join(MARK).exists(),
        Target::Port(port) => server.ports().contains(port),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn told(error: Error) -> String {
    match error {
        Error::Missing { .. } => format!("{error}; `cargo xtask servers --install` installs what is missing"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_kind_its_port_or_its_url() {
        for (word, target) in [
            ("redis", Target::Kind(Kind::Redis)),
            ("40123", Target::Port(40_123)),
            ("redis://127.0.0.1:40123", Target::Port(40_123)),
            ("mysql://retry:retry@127.0.0.1:40123/retry", Target::Port(40_123)),
            (
                "redis-cluster://127.0.0.1:40123,127.0.0.1:40124",
                Target::Port(40_123),
            ),
        ] {
            assert_eq!(word.parse(), Ok(target), "{word}");
        }
        for word in ["oracle", "70000", "redis://127.0.0.1", "redis://127.0.0.1:x", ""] {
            assert!(word.parse::<Target>().is_err(), "{word}");
        }
    }

    /// A server of somebody's test is not meant by its kind, one of this command is. Nothing is done to any here.
    #[test]
    fn only_what_this_command_started_is_meant_by_its_kind() {
        if test_servers::installed(Kind::Redis).is_err() {
            assert!(std::env::var("RETRY_REQUIRE").is_err(), "Redis is not installed");
            return;
        }
        let server = test_servers::start(Kind::Redis).expect("it starts");
        let port = server.ports()[0];
        let meant = |target: &Target| {
            let running = test_servers::running().expect("the folder of servers");
            let mut meant = running.iter().filter(|running| is_meant(target, running));
            meant.any(|running| running.ports() == [port])
        };
        assert!(!meant(&Target::Kind(Kind::Redis)), "it belongs to this test");
        assert!(meant(&Target::Port(port)), "whoever started it");
        assert!(!meant(&Target::Port(1)));
        let running = vec![server];
        let _servers = Servers { running }.marked().expect("it is marked");
        assert!(meant(&Target::Kind(Kind::Redis)));
        assert!(!meant(&Target::Kind(Kind::Postgres)));
    }
}

//! Redis or Valkey: an append-only file that is synced before each answer, and nothing evicted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Recipe, Settings, Site};
use crate::error::Error;
use crate::find;
use crate::kind::Kind;

const SETTINGS: &[(&str, &str)] = &[
    ("bind", "127.0.0.1"),
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("save", ""),
    ("maxmemory-policy", "noeviction"),
    ("loglevel", "warning"),
];

#[derive(Debug)]
pub(super) struct Redis {
    server: PathBuf,
}

impl Redis {
    pub(super) fn find(kind: Kind) -> Result<Self, Error> {
        let server = find::program(kind, &["redis-server", "valkey-server"])?;
        Ok(Self { server })
    }

    /// Process `process`, with its data in a folder of its own.
    pub(super) fn node(&self, site: Site<'_>, process: usize, settings: Settings<'_>) -> Command {
        let mut command = Command::new(&self.server);
        command.arg("--port").arg(site.ports[process].to_string());
        command.arg("--dir").arg(site.folder);
        command.arg("--appenddirname").arg(format!("node-{process}"));
        for (name, value) in SETTINGS.iter().chain(settings) {
            command.arg(format!("--{name}")).arg(value);
        }
        command
    }
}

impl Recipe for Redis {
    fn create(&self, _site: Site<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn command(&self, site: Site<'_>, process: usize, settings: Settings<'_>) -> Command {
        self.node(site, process, settings)
    }

    fn ready(&self, site: Site<'_>, process: usize) -> bool {
        ask(site.ports[process], "PING").is_some_and(|answer| answer.starts_with("+PONG"))
    }

    fn url(&self, ports: &[u16]) -> String {
        format!("redis://127.0.0.1:{}", ports[0])
    }
}

/// The start of the answer to an inline command.
pub(super) fn ask(port: u16, line: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

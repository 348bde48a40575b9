//! NATS with JetStream, whose streams are files in the server's folder.

use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Recipe, Settings, Site};
use crate::error::Error;
use crate::find;
use crate::kind::Kind;

#[derive(Debug)]
pub(super) struct Nats {
    server: PathBuf,
}

impl Nats {
    pub(super) fn find() -> Result<Self, Error> {
        let server = find::program(Kind::Nats, &["nats-server"])?;
        Ok(Self { server })
    }
}

impl Recipe for Nats {
    fn create(&self, _site: Site<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Its settings are words of the command line: `("max_payload", "…")` has none and is refused by the server.
    fn command(&self, site: Site<'_>, process: usize, settings: Settings<'_>) -> Command {
        let mut command = Command::new(&self.server);
        command
            .args(["--addr", "127.0.0.1", "--port"])
            .arg(site.ports[process].to_string());
        command
            .arg("--jetstream")
            .arg("--store_dir")
            .arg(site.folder.join("data"));
        for (name, value) in settings {
            command.arg(format!("--{name}")).arg(value);
        }
        command
    }

    /// The server speaks first.
    fn ready(&self, site: Site<'_>, process: usize) -> bool {
        let hello = || {
            let mut stream = TcpStream::connect(("127.0.0.1", site.ports[process])).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
            let mut start = [0; 5];
            stream.read_exact(&mut start).ok()?;
            Some(start)
        };
        hello().is_some_and(|start| start == *b"INFO ")
    }

    fn url(&self, ports: &[u16]) -> String {
        format!("nats://127.0.0.1:{}", ports[0])
    }
}

//! PostgreSQL: every commit synced, no socket but the loopback port, no password.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Recipe, Settings, Site, succeeds, tool};
use crate::error::Error;
use crate::find;
use crate::kind::Kind;

/// What differs from the server's own defaults; the settings that make commits durable are said once more, so that
/// no configuration of the machine changes them.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("max_connections", "600"),
    ("shared_buffers", "128MB"),
    ("log_min_messages", "warning"),
];

#[derive(Debug)]
pub(super) struct Postgres {
    server: PathBuf,
    initdb: PathBuf,
    pg_isready: PathBuf,
}

impl Postgres {
    pub(super) fn find(kind: Kind) -> Result<Self, Error> {
        Ok(Self {
            server: find::program(kind, &["postgres"])?,
            initdb: find::program(kind, &["initdb"])?,
            pg_isready: find::program(kind, &["pg_isready"])?,
        })
    }
}

impl Recipe for Postgres {
    fn signal(&self) -> &'static str {
        // An immediate shutdown: no checkpoint, but the shared memory goes.
        "QUIT"
    }

    fn create(&self, site: Site<'_>) -> Result<(), Error> {
        let mut initdb = Command::new(&self.initdb);
        initdb
            .arg("--pgdata")
            .arg(site.folder.join("data"))
            .args([
                "--username=retry",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--no-sync", "--no-instructions"]);
        tool(initdb, site)
    }

    fn forget_crash(&self, site: Site<'_>, _process: usize) {
        // It names a process that is dead but perhaps not collected by its owner, which the server takes for alive. Whether
        // its children live it sees by their shared memory.
        let _ = fs::remove_file(site.folder.join("data/postmaster.pid"));
    }

    fn command(&self, site: Site<'_>, process: usize, settings: Settings<'_>) -> Command {
        let mut command = Command::new(&self.server);
        command
            .arg("-D")
            .arg(site.folder.join("data"))
            .arg("-p")
            .arg(site.ports[process].to_string());
        for (name, value) in SETTINGS.iter().chain(settings) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
    }

    fn ready(&self, site: Site<'_>, process: usize) -> bool {
        let mut command = Command::new(&self.pg_isready);
        command
            .args(["--quiet", "--host=127.0.0.1", "--port"])
            .arg(site.ports[process].to_string());
        succeeds(command)
    }

    fn url(&self, ports: &[u16]) -> String {
        format!("postgres://retry@127.0.0.1:{}/postgres", ports[0])
    }
}

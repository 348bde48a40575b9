//! PgBouncer in transaction mode: process 0 is its PostgreSQL, process 1 the pooler.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use super::postgres::Postgres;
use super::{Recipe, Settings, Site};
use crate::error::Error;
use crate::find;
use crate::kind::Kind;
use crate::user;

#[derive(Debug)]
pub(super) struct PgBouncer {
    postgres: Postgres,
    server: PathBuf,
}

impl PgBouncer {
    pub(super) fn find() -> Result<Self, Error> {
        Ok(Self {
            postgres: Postgres::find(Kind::PgBouncer)?,
            server: find::program(Kind::PgBouncer, &["pgbouncer"])?,
        })
    }

    fn configuration(ports: &[u16]) -> String {
        format!(
            "[databases]\npostgres = host=127.0.0.1 port={} dbname=postgres user=retry\n\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\nmax_client_conn = 2000\ndefault_pool_size = 20\n\
             server_login_retry = 1\nignore_startup_parameters = extra_float_digits\n",
            ports[0], ports[1]
        )
    }
}

impl Recipe for PgBouncer {
    fn processes(&self) -> usize {
        2
    }

    fn signal(&self) -> &'static str {
        self.postgres.signal()
    }

    fn create(&self, site: Site<'_>) -> Result<(), Error> {
        let path = site.folder.join("pgbouncer.ini");
        fs::write(&path, Self::configuration(site.ports))
            .and_then(|()| user::give(&path, site.account))
            .map_err(|error| Error::failed(path.display(), error))?;
        self.postgres.create(site)
    }

    fn forget_crash(&self, site: Site<'_>, process: usize) {
        if process == 0 {
            self.postgres.forget_crash(site, process);
        }
    }

    fn command(&self, site: Site<'_>, process: usize, settings: Settings<'_>) -> Command {
        if process == 0 {
            return self.postgres.command(site, process, settings);
        }
        let mut command = Command::new(&self.server);
        command.arg(site.folder.join("pgbouncer.ini"));
        command
    }

    fn ready(&self, site: Site<'_>, process: usize) -> bool {
        match process {
            0 => self.postgres.ready(site, process),
            _ => TcpStream::connect(("127.0.0.1", site.ports[process])).is_ok(),
        }
    }

    fn url(&self, ports: &[u16]) -> String {
        format!("postgres://retry@127.0.0.1:{}/postgres", ports[1])
    }
}

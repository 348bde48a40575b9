//! How each kind of server is created, started and asked whether it is ready.

mod mysql;
mod nats;
mod pgbouncer;
mod postgres;
mod rabbitmq;
mod redis;
mod redis_cluster;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::Error;
use crate::kind::Kind;
use crate::user::{self, Account};

/// Settings of a server that differ from the recipe's, by the server's own names.
pub(crate) type Settings<'a> = &'a [(&'a str, &'a str)];

/// The place of a server: its folder, the ports of its processes, and the account it runs under.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) ports: &'a [u16],
    pub(crate) account: Option<Account>,
}

/// What is particular to a kind.
pub(crate) trait Recipe: Debug + Send + Sync {
    /// How many processes, each with a port.
    fn processes(&self) -> usize {
        1
    }

    /// The signal that ends it at once and leaves nothing behind in the system.
    fn signal(&self) -> &'static str {
        "KILL"
    }

    /// Creates the data, once.
    fn create(&self, site: Site<'_>) -> Result<(), Error>;

    /// Removes what a killed process left that keeps a new one from starting. Nothing of it runs any more.
    fn forget_crash(&self, _site: Site<'_>, _process: usize) {}

    /// Starts a process, in the foreground.
    fn command(&self, site: Site<'_>, process: usize, settings: Settings<'_>) -> Command;

    /// Whether a process answers.
    fn ready(&self, site: Site<'_>, process: usize) -> bool;

    /// Whether the processes, each of which answers, serve together.
    fn agreed(&self, _site: Site<'_>) -> bool {
        true
    }

    /// What remains to be done once all answer for the first time.
    fn join(&self, _site: Site<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// How a client reaches it.
    fn url(&self, ports: &[u16]) -> String;
}

/// The recipe, when the programs are installed.
pub(crate) fn of(kind: Kind) -> Result<Box<dyn Recipe>, Error> {
    Ok(match kind {
        Kind::Postgres => Box::new(postgres::Postgres::find(kind)?),
        Kind::PgBouncer => Box::new(pgbouncer::PgBouncer::find()?),
        Kind::MySql => Box::new(mysql::MySql::find()?),
        Kind::Redis => Box::new(redis::Redis::find(kind)?),
        Kind::RedisCluster => Box::new(redis_cluster::RedisCluster::find()?),
        Kind::Nats => Box::new(nats::Nats::find()?),
        Kind::RabbitMq => Box::new(rabbitmq::RabbitMq::find()?),
    })
}

/// Runs a tool to its end, under the server's account.
fn tool(mut command: Command, site: Site<'_>) -> Result<(), Error> {
    user::run_as(&mut command, site.account);
    let name = command.get_program().to_string_lossy().into_owned();
    let output = quiet(&mut command).map_err(|error| Error::failed(&name, error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Error::failed(
        format!("{name} ended with {}", output.status),
        String::from_utf8_lossy(&said).trim(),
    ))
}

fn quiet(command: &mut Command) -> io::Result<Output> {
    command.current_dir("/").stdin(Stdio::null()).output()
}

/// Whether a tool succeeds.
fn succeeds(mut command: Command) -> bool {
    quiet(&mut command).is_ok_and(|output| output.status.success())
}

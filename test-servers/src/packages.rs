//! The distribution's packages that bring the servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::find;
use crate::kind::Kind;
use crate::recipe;

/// Debian starts a service when its package is installed, unless this program forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";

const fn packages(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Postgres => &["postgresql"],
        Kind::PgBouncer => &["postgresql", "pgbouncer"],
        Kind::MySql => &["mariadb-server"],
        Kind::Redis | Kind::RedisCluster => &["redis-server"],
        Kind::Nats => &["nats-server"],
        Kind::RabbitMq => &["rabbitmq-server"],
    }
}

/// Whether the programs of a kind are installed.
///
/// # Errors
/// [`Error::Missing`] names the first that is not.
pub fn installed(kind: Kind) -> Result<(), Error> {
    recipe::of(kind).map(drop)
}

/// A program that comes with a kind: its check of the data, say. None if it is not installed.
#[must_use]
pub fn tool(kind: Kind, name: &'static str) -> Option<PathBuf> {
    find::program(kind, &[name]).ok()
}

/// How to get what a kind needs.
#[must_use]
pub fn install_hint(kind: Kind) -> String {
    format!(
        "install it (Debian: apt-get install {}), or set {} to the URL of a server",
        packages(kind).join(" "),
        kind.variable()
    )
}

/// Installs what the kinds need and is not there, with `apt-get`, as root. Answers the packages it asked for.
///
/// # Errors
/// When the package manager is missing or fails; what it printed went to standard error.
pub fn install(kinds: &[Kind]) -> Result<Vec<&'static str>, Error> {
    let missing = |kind: &&Kind| installed(**kind).is_err();
    let mut wanted: Vec<_> = kinds
        .iter()
        .filter(missing)
        .flat_map(|kind| packages(*kind).iter().copied())
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Ok(wanted);
    }
    apt_get(&["update"])?;
    let quiet = forbid_services();
    let installed = apt_get(
        &[
            &["install", "--yes", "--no-install-recommends"],
            wanted.as_slice(),
        ]
        .concat(),
    );
    if quiet {
        // Only what this call put there is taken away.
        let _ = fs::remove_file(POLICY);
    }
    installed.map(|()| wanted)
}

/// Asks Debian not to start services on ports that others may use; whether it was this call that did.
fn forbid_services() -> bool {
    use std::os::unix::fs::PermissionsExt;
    let path = Path::new(POLICY);
    if path.exists() || fs::write(path, "#!/bin/sh\nexit 101\n").is_err() {
        return false;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).is_ok()
}

fn apt_get(words: &[&str]) -> Result<(), Error> {
    let line = format!("apt-get {}", words.join(" "));
    let mut command = Command::new("apt-get");
    command
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // What others print on standard output is for them; here it is progress.
        .stdout(std::io::stderr());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::failed(line, status)),
        Err(error) => Err(Error::failed(line, error)),
    }
}

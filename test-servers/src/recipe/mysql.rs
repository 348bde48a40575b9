//! MariaDB or MySQL: every commit synced, one user who may create databases and users.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Recipe, Settings, Site, succeeds, tool};
use crate::error::Error;
use crate::find;
use crate::kind::Kind;
use crate::user;

const SETTINGS: &[(&str, &str)] = &[
    ("bind-address", "127.0.0.1"),
    ("innodb-flush-log-at-trx-commit", "1"),
    ("sync-binlog", "1"),
    ("max-connections", "600"),
    ("innodb-buffer-pool-size", "256M"),
    ("max-allowed-packet", "64M"),
];

/// Run by the server at each start; repeating it changes nothing.
const WELCOME: &str = "CREATE DATABASE IF NOT EXISTS retry;\n\
    CREATE USER IF NOT EXISTS 'retry'@'%' IDENTIFIED BY 'retry';\n\
    GRANT ALL ON *.* TO 'retry'@'%' WITH GRANT OPTION;\n";

#[derive(Debug)]
pub(super) struct MySql {
    server: PathBuf,
    admin: PathBuf,
    /// MariaDB creates its data with a tool of its own, MySQL with the server.
    install: Option<PathBuf>,
}

impl MySql {
    pub(super) fn find() -> Result<Self, Error> {
        let server = find::program(Kind::MySql, &["mariadbd", "mysqld"])?;
        let admin = find::program(Kind::MySql, &["mariadb-admin", "mysqladmin"])?;
        let install = server
            .ends_with("mariadbd")
            .then(|| find::program(Kind::MySql, &["mariadb-install-db"]))
            .transpose()?;
        Ok(Self {
            server,
            admin,
            install,
        })
    }
}

impl Recipe for MySql {
    fn create(&self, site: Site<'_>) -> Result<(), Error> {
        let welcome = site.folder.join("welcome.sql");
        fs::write(&welcome, WELCOME)
            .and_then(|()| user::give(&welcome, site.account))
            .map_err(|error| Error::failed(welcome.display(), error))?;
        let data = format!("--datadir={}", site.folder.join("data").display());
        let mut create = Command::new(self.install.as_ref().unwrap_or(&self.server));
        create.args(["--no-defaults", &data]);
        match self.install {
            Some(_) => create.args(["--auth-root-authentication-method=normal", "--skip-test-db"]),
            None => create.arg("--initialize-insecure"),
        };
        tool(create, site)
    }

    fn command(&self, site: Site<'_>, process: usize, settings: Settings<'_>) -> Command {
        let at = |name: &str| site.folder.join(name).display().to_string();
        let mut command = Command::new(&self.server);
        command
            .arg("--no-defaults")
            .arg(format!("--datadir={}", at("data")))
            // A starting server removes the temporary files of others that it finds in a shared folder.
            .arg(format!("--tmpdir={}", site.folder.display()))
            .arg(format!("--socket={}", at("socket")))
            .arg(format!("--pid-file={}", at("server-pid")))
            .arg(format!("--init-file={}", at("welcome.sql")))
            .arg(format!("--port={}", site.ports[process]));
        for (name, value) in SETTINGS.iter().chain(settings) {
            command.arg(format!("--{name}={value}"));
        }
        if self.install.is_none() {
            command.arg("--mysqlx=OFF");
        }
        command
    }

    fn ready(&self, site: Site<'_>, process: usize) -> bool {
        let mut command = Command::new(&self.admin);
        command
            .args([
                "--no-defaults",
                "--host=127.0.0.1",
                "--user=retry",
                "--password=retry",
            ])
            .arg(format!("--port={}", site.ports[process]))
            .arg("status");
        succeeds(command)
    }

    fn url(&self, ports: &[u16]) -> String {
        format!("mysql://retry:retry@127.0.0.1:{}/retry", ports[0])
    }
}

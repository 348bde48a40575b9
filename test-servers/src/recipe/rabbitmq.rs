//! RabbitMQ: process 0 is the port mapper of its Erlang node, which would else outlive it, process 1 the broker.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Recipe, Settings, Site};
use crate::error::Error;
use crate::find;
use crate::kind::Kind;
use crate::user;

/// How much higher the port is on which the node would speak to others of a cluster.
const CLUSTER_PORT: u16 = 10_000;

#[derive(Debug)]
pub(super) struct RabbitMq {
    server: PathBuf,
    mapper: PathBuf,
}

impl RabbitMq {
    pub(super) fn find() -> Result<Self, Error> {
        let wrapper = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
        let server = match wrapper.is_file() {
            // Debian's program on the path runs as root or as its own user only.
            true => wrapper.to_owned(),
            false => find::program(Kind::RabbitMq, &["rabbitmq-server"])?,
        };
        let mapper = find::program(Kind::RabbitMq, &["epmd"])?;
        Ok(Self { server, mapper })
    }
}

impl Recipe for RabbitMq {
    fn processes(&self) -> usize {
        2
    }

    fn create(&self, site: Site<'_>) -> Result<(), Error> {
        let write = |name: &str, text: &str| {
            let path = site.folder.join(name);
            fs::write(&path, text)
                .and_then(|()| user::give(&path, site.account))
                .map_err(|error| Error::failed(path.display(), error))
        };
        write(
            "rabbitmq.conf",
            "disk_free_limit.absolute = 10MB\nloopback_users.guest = true\n",
        )?;
        write("enabled_plugins", "[].\n")?;
        write("environment", "")
    }

    fn command(&self, site: Site<'_>, process: usize, settings: Settings<'_>) -> Command {
        if process == 0 {
            let mut command = Command::new(&self.mapper);
            command
                .args(["-address", "127.0.0.1", "-port"])
                .arg(site.ports[0].to_string());
            return command;
        }
        let port = site.ports[1];
        let mut command = Command::new(&self.server);
        command
            // The secret of the node goes to the home folder, data and logs to their own; nothing of a server installed
            // on the machine is read.
            .env("HOME", site.folder)
            .env("RABBITMQ_CONF_ENV_FILE", site.folder.join("environment"))
            .env("RABBITMQ_CONFIG_FILE", site.folder.join("rabbitmq.conf"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", site.folder.join("generated"))
            .env("RABBITMQ_SCHEMA_DIR", site.folder.join("schema"))
            .env(
                "RABBITMQ_ENABLED_PLUGINS_FILE",
                site.folder.join("enabled_plugins"),
            )
            .env("RABBITMQ_MNESIA_BASE", site.folder.join("data"))
            .env("RABBITMQ_LOG_BASE", site.folder.join("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_NODENAME", format!("retry-{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", (port + CLUSTER_PORT).to_string())
            .env("ERL_EPMD_PORT", site.ports[0].to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            // One that its node starts because process 0 has just been killed would live for ever, at that port.
            .env("ERL_AFLAGS", "-start_epmd false")
            // It replaces the shell that starts it, so that a signal reaches it.
            .env("RUNNING_UNDER_SYSTEMD", "true");
        for (name, value) in settings {
            command.env(name, value);
        }
        command
    }

    /// The broker answers the protocol's greeting with its first frame.
    fn ready(&self, site: Site<'_>, process: usize) -> bool {
        let port = site.ports[process];
        let answer = || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
            if process == 0 {
                return Some([1]);
            }
            stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
            stream.write_all(b"AMQP\x00\x00\x09\x01").ok()?;
            let mut frame = [0];
            stream.read_exact(&mut frame).ok()?;
            Some(frame)
        };
        answer() == Some([1])
    }

    fn url(&self, ports: &[u16]) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", ports[1])
    }
}

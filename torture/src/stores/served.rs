//! A database server of the run's own: real, durable, killed and started again on the same data, its connections cut.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use test_servers::{Kind, Proxy};

use super::disconnect;
use crate::place::Server;

/// The server, and the proxy that all processes reach it through.
#[derive(Debug)]
pub(crate) struct Served {
    server: Arc<test_servers::Server>,
    /// None before a cluster, whose nodes tell everybody their own addresses.
    proxy: Option<Proxy>,
}

/// The process that clients connect to.
const fn front(kind: Kind) -> usize {
    match kind {
        // The first is the server behind the pooler.
        Kind::PgBouncer => 1,
        _ => 0,
    }
}

/// Room for the connections of a thousand clients: one for their calls each, and some for hints.
const fn settings(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Postgres | Kind::PgBouncer => &[("max_connections", "2400")],
        Kind::MySql => &[("max-connections", "2400")],
        _ => &[],
    }
}

impl Served {
    /// Starts a server, whose data is in `home` if that is given. It and its data go with the run, unless they are kept.
    pub(crate) fn start(kind: Kind, home: Option<&Path>) -> Result<Self> {
        let server = match home {
            Some(home) => test_servers::start_in(home, kind, settings(kind))?,
            None => test_servers::start_with(kind, settings(kind))?,
        };
        let proxy = match kind {
            Kind::RedisCluster => None,
            _ => Some(Proxy::start(server.ports()[front(kind)])?),
        };
        Ok(Self {
            server: Arc::new(server),
            proxy,
        })
    }

    /// How a process reaches it, so that it can be cut off.
    pub(crate) fn url(&self) -> String {
        let proxy = self.proxy.as_ref();
        proxy.map_or_else(|| self.server.url(), |proxy| self.url_at(proxy.port()))
    }

    /// The address of the server itself, for checks that no fault may meet.
    pub(crate) fn direct(&self) -> String {
        self.url_at(self.server.ports()[0])
    }

    fn url_at(&self, port: u16) -> String {
        let own = self.server.ports()[front(self.server.kind())];
        self.server.url().replace(&format!(":{own}"), &format!(":{port}"))
    }

    /// Where its data is.
    pub(super) fn folder(&self) -> &Path {
        self.server.folder()
    }
}

#[async_trait]
impl Server for Served {
    async fn kill(&self) -> Result<()> {
        let server = Arc::clone(&self.server);
        Ok(tokio::task::spawn_blocking(move || server.kill()).await?)
    }

    fn processes(&self) -> usize {
        self.server.ports().len()
    }

    async fn kill_process(&self, process: usize) -> Result<()> {
        let server = Arc::clone(&self.server);
        Ok(tokio::task::spawn_blocking(move || server.kill_process(process)).await?)
    }

    async fn start(&self) -> Result<()> {
        let server = Arc::clone(&self.server);
        Ok(tokio::task::spawn_blocking(move || server.revive()).await??)
    }

    fn cut(&self) -> bool {
        self.proxy.as_ref().map(Proxy::cut).is_some()
    }

    async fn disconnect(&self) -> Result<()> {
        match self.server.kind() {
            Kind::Postgres | Kind::PgBouncer => disconnect::postgres(&self.direct()).await,
            Kind::MySql => disconnect::mysql(&self.direct()).await,
            Kind::Redis | Kind::RedisCluster => self
                .server
                .ports()
                .iter()
                .copied()
                .try_for_each(disconnect::redis),
            kind => bail!("{kind} is not asked to close connections"),
        }
    }

    fn keep(&self, folder: &Path) -> Result<()> {
        // As it is after a crash: the server's own recovery is part of what is kept.
        self.server.kill();
        let mut copy = Command::new("cp");
        copy.arg("-r")
            .arg(self.server.folder())
            .arg(folder.join("server"));
        ensure!(copy.status()?.success(), "the server's data cannot be copied");
        Ok(())
    }
}

/// Runs a check; what it said, if it was not content.
pub(super) fn complaint(check: &mut Command) -> Result<Option<String>> {
    let output = check.output().with_context(|| format!("{check:?}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Ok((!output.status.success())
        .then(|| format!("{:?} ended with {}: {said}", check.get_program(), output.status)))
}

/// Tells of a check that could not be made; that is no violation.
pub(super) fn unchecked(program: &str) {
    crate::report::line(&format!(
        "skipped: {program} cannot be run here, so the server's files are not checked by it"
    ));
}

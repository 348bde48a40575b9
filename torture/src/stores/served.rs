//! A database server of the run's own: real, durable, killed and started again on the same data, its connections cut.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use test_servers::{Kind, Proxy};

use crate::place::Server;

/// The server, and the proxy that all processes reach it through.
#[derive(Debug)]
pub(crate) struct Served {
    server: Arc<test_servers::Server>,
    proxy: Proxy,
}

impl Served {
    /// Starts a server. It and its data go with the run, unless they are kept.
    pub(crate) fn start(kind: Kind) -> Result<Self> {
        let server = test_servers::start(kind)?;
        let proxy = Proxy::start(server.ports()[0])?;
        Ok(Self {
            server: Arc::new(server),
            proxy,
        })
    }

    /// How a process reaches it, so that it can be cut off.
    pub(crate) fn url(&self) -> String {
        let port = |port: u16| format!(":{port}");
        let (own, proxy) = (port(self.server.ports()[0]), port(self.proxy.port()));
        self.server.url().replace(&own, &proxy)
    }

    /// Its own address, for checks that no fault may meet.
    pub(crate) fn direct(&self) -> String {
        self.server.url()
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

    async fn start(&self) -> Result<()> {
        let server = Arc::clone(&self.server);
        Ok(tokio::task::spawn_blocking(move || server.restart()).await??)
    }

    fn cut(&self) {
        self.proxy.cut();
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

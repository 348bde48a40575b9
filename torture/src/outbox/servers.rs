//! The store to which tasks are handed over, with the servers of both ends: a fault strikes one or the other.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use async_trait::async_trait;
use retry_core::client::Client;

use super::source::Source;
use crate::place::{Orders, Server, Subject};

#[derive(Debug)]
pub(super) struct Between {
    target: Arc<dyn Subject>,
    source: Arc<dyn Source>,
    /// How many servers were killed: they take turns.
    killed: AtomicUsize,
}

impl Between {
    pub(super) fn new(target: &Arc<dyn Subject>, source: &Arc<dyn Source>) -> Self {
        Self {
            target: Arc::clone(target),
            source: Arc::clone(source),
            killed: AtomicUsize::new(0),
        }
    }

    fn servers(&self) -> Vec<&dyn Server> {
        self.target
            .server()
            .into_iter()
            .chain(self.source.server())
            .collect()
    }

    /// The server whose turn it is.
    fn struck(&self) -> Option<&dyn Server> {
        let servers = self.servers();
        let turn = self.killed.load(Ordering::Relaxed) % servers.len().max(1);
        servers.get(turn).copied()
    }
}

#[async_trait]
impl Subject for Between {
    fn url(&self) -> &str {
        self.target.url()
    }

    async fn connect(&self) -> Result<Client> {
        self.target.connect().await
    }

    fn is_remote(&self) -> bool {
        self.target.is_remote()
    }

    async fn prepare(&self) -> Result<()> {
        self.target.prepare().await
    }

    async fn orders(&self) -> Result<Option<Box<dyn Orders>>> {
        Ok(None)
    }

    async fn rows(&self) -> Result<Vec<u64>> {
        self.source.rows().await
    }

    async fn left(&self) -> Result<Vec<String>> {
        self.target.left().await
    }

    async fn damage(&self) -> Result<Vec<String>> {
        self.target.damage().await
    }

    fn server(&self) -> Option<&dyn Server> {
        (!self.servers().is_empty()).then_some(self as _)
    }
}

#[async_trait]
impl Server for Between {
    async fn kill(&self) -> Result<()> {
        match self.struck() {
            Some(server) => server.kill().await,
            None => Ok(()),
        }
    }

    fn processes(&self) -> usize {
        self.struck().map_or(1, Server::processes)
    }

    async fn kill_process(&self, process: usize) -> Result<()> {
        match self.struck() {
            Some(server) => server.kill_process(process).await,
            None => Ok(()),
        }
    }

    async fn start(&self) -> Result<()> {
        let started = match self.struck() {
            Some(server) => server.start().await,
            None => Ok(()),
        };
        self.killed.fetch_add(1, Ordering::Relaxed);
        started
    }

    fn cut(&self) -> bool {
        let cut: Vec<bool> = self.servers().iter().map(|server| server.cut()).collect();
        cut.contains(&true)
    }

    async fn disconnect(&self) -> Result<()> {
        for server in self.servers() {
            server.disconnect().await?;
        }
        Ok(())
    }

    fn keep(&self, folder: &Path) -> Result<()> {
        for (n, server) in self.servers().into_iter().enumerate() {
            let folder = folder.join(format!("end-{n}"));
            std::fs::create_dir_all(&folder)?;
            server.keep(&folder)?;
        }
        Ok(())
    }
}

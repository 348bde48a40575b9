//! Redis and Valkey: a server, or a cluster, that every process reaches by URL; tasks are all there is.

use std::process::Command;

use anyhow::Result;
use async_trait::async_trait;
use test_servers::Kind;

use super::Home;
use super::served::{self, Served};
use crate::place::{Orders, Server, Subject};

#[derive(Debug)]
pub(crate) struct Redis {
    url: String,
    /// The server, if it is the run's own.
    served: Option<Served>,
}

impl Redis {
    /// The server at `url`, or one of the run's own when a scheme is all it is.
    pub(crate) fn new(url: &str, home: Home<'_>) -> Result<Self> {
        if url.contains(':') {
            let url = url.to_owned();
            return Ok(Self { url, served: None });
        }
        let kind = match url {
            "redis-cluster" => Kind::RedisCluster,
            _ => Kind::Redis,
        };
        let served = Served::start(kind, home.servers)?;
        let url = served.url();
        let served = Some(served);
        Ok(Self { url, served })
    }
}

#[async_trait]
impl Subject for Redis {
    fn url(&self) -> &str {
        &self.url
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn prepare(&self) -> Result<()> {
        task_retry::connect(&self.url).await?;
        Ok(())
    }

    async fn orders(&self) -> Result<Option<Box<dyn Orders>>> {
        Ok(None)
    }

    async fn rows(&self) -> Result<Vec<u64>> {
        Ok(Vec::new())
    }

    async fn left(&self) -> Result<Vec<String>> {
        // A server forgets a dead client with its connection.
        Ok(Vec::new())
    }

    async fn damage(&self) -> Result<Vec<String>> {
        let program = ["redis-check-aof", "valkey-check-aof"]
            .into_iter()
            .find_map(|name| test_servers::tool(Kind::Redis, name));
        let (Some(served), Some(program)) = (&self.served, program) else {
            served::unchecked("redis-check-aof");
            return Ok(Vec::new());
        };
        // It reads files that nobody writes. What was answered is in them: every write was synced before.
        served.kill().await?;
        let check = |node| {
            let files = served
                .folder()
                .join(format!("node-{node}/appendonly.aof.manifest"));
            served::complaint(Command::new(&program).arg(files))
        };
        let complaints: Result<Vec<_>> = (0..served.processes()).map(check).collect();
        served.start().await?;
        Ok(complaints?.into_iter().flatten().collect())
    }

    fn server(&self) -> Option<&dyn Server> {
        self.served.as_ref().map(|served| served as _)
    }
}

//! Three nodes of Redis or Valkey, each with a third of the slots and no replica.

use std::path::PathBuf;
use std::process::Command;

use super::redis::{Redis, ask};
use super::{Recipe, Settings, Site, tool};
use crate::error::Error;
use crate::find;
use crate::kind::Kind;

/// The fewest masters a cluster can be created with.
const NODES: usize = 3;

#[derive(Debug)]
pub(super) struct RedisCluster {
    redis: Redis,
    cli: PathBuf,
}

impl RedisCluster {
    pub(super) fn find() -> Result<Self, Error> {
        Ok(Self {
            redis: Redis::find(Kind::RedisCluster)?,
            cli: find::program(Kind::RedisCluster, &["redis-cli", "valkey-cli"])?,
        })
    }
}

impl Recipe for RedisCluster {
    fn processes(&self) -> usize {
        NODES
    }

    fn create(&self, _site: Site<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn command(&self, site: Site<'_>, process: usize, settings: Settings<'_>) -> Command {
        let mut command = self.redis.node(site, process, settings);
        command
            .args(["--cluster-enabled", "yes", "--cluster-config-file"])
            .arg(site.folder.join(format!("cluster-{process}.conf")));
        command
    }

    fn ready(&self, site: Site<'_>, process: usize) -> bool {
        self.redis.ready(site, process)
    }

    fn join(&self, site: Site<'_>) -> Result<(), Error> {
        let mut create = Command::new(&self.cli);
        create.args(["--cluster", "create"]);
        create.args(site.ports.iter().map(|port| format!("127.0.0.1:{port}")));
        create.args(["--cluster-replicas", "0", "--cluster-yes"]);
        tool(create, site)
    }

    fn agreed(&self, site: Site<'_>) -> bool {
        let agreed =
            |port: &u16| ask(*port, "CLUSTER INFO").is_some_and(|answer| answer.contains("cluster_state:ok"));
        site.ports.iter().all(agreed)
    }

    fn url(&self, ports: &[u16]) -> String {
        let nodes: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis-cluster://{}", nodes.join(","))
    }
}

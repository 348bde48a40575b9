//! The stores that can be measured, a file each.

mod memory;
mod mysql;
mod mysql_toy;
mod postgres;
mod postgres_toy;
mod postgres_tx;
mod redis;
mod redis_toy;
mod sled;
mod sled_toy;
mod sqlite;
mod sqlite_toy;
mod sqlite_tx;

use std::fmt;
use std::sync::Arc;

use anyhow::{Result, bail};
use async_trait::async_trait;

use crate::aims::Aim;
use crate::args::Run;
use crate::bare::Toy;
use crate::full::Transactions;
use crate::job::After;
use crate::place::Place;

/// A store as the benchmarks see it. What it must give is a fresh store; the workloads are the same for all.
#[async_trait]
pub(crate) trait Subject: fmt::Debug + Send + Sync {
    /// Its name in the output.
    fn name(&self) -> &'static str;

    /// What `--store` is given in the processes that measure on their own; starts the server if there is one to start.
    fn url(&self) -> Result<String> {
        Ok(self.name().to_owned())
    }

    /// A fresh, empty store in a place of its own: several are open at once.
    async fn fresh(&self, run: &Run) -> Result<Place>;

    /// A fresh toy queue on the store's driver, of which several are open at once; none if there is no driver below the
    /// store.
    async fn toy(&self, run: &Run, after: After) -> Result<Option<Box<dyn Toy>>>;

    /// A fresh store whose transactions can be joined, for the workload H; none where there are none to join.
    async fn transactions(&self, _run: &Run) -> Result<Option<Box<dyn Transactions>>> {
        Ok(None)
    }

    /// Somebody with a snapshot of the database that is held until this is dropped, for the workload P; none where there are no
    /// snapshots.
    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>> {
        Ok(None)
    }

    /// Whether its commits wait for the disk of this machine.
    fn is_on_disk(&self) -> bool;

    /// What its figures depend on beside what all stores depend on.
    fn settings(&self, _run: &Run) -> Option<String> {
        None
    }

    /// The aims that are its own.
    fn aims(&self) -> Vec<Aim> {
        Vec::new()
    }
}

/// A snapshot that keeps a database from clearing away what is dead.
pub(crate) trait Snapshot: Send {}

/// The store that `url` names: a scheme alone, for which a server that is needed is that of the tests' variable or a throw-away
/// one, or the URL of a server.
pub(crate) fn by_url(url: &str) -> Result<Arc<dyn Subject>> {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    match scheme {
        "memory" => Ok(Arc::new(memory::Memory)),
        "sqlite" => Ok(Arc::new(sqlite::Sqlite)),
        "sled" => Ok(Arc::new(sled::Sled)),
        "postgres" | "postgresql" => Ok(Arc::new(postgres::Postgres::new(url))),
        "mysql" => Ok(Arc::new(mysql::MySql::new(url))),
        "redis" | "rediss" => Ok(Arc::new(redis::Redis::new(url))),
        _ => bail!(
            "there is no store {scheme:?} here; memory, sqlite, postgres, mysql, redis and sled can be measured"
        ),
    }
}

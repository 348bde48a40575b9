//! The databases in which orders and outboxes are, a file each.

mod mysql;
mod postgres;
mod sqlite;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use retry_core::client::Client;
use retry_core::outbox::{OutboxRelay, OutboxRelayHandle, OutboxTable};
use retry_core::store::Count;

use super::writer::Fate;
use crate::place::Server;
use crate::worker::LEASE;

/// The name of the outbox.
const NAME: &str = "shop";

/// A database of the user's own, with a table of orders and an outbox.
#[async_trait]
pub(super) trait Source: fmt::Debug + Send + Sync {
    /// By which every process connects.
    fn url(&self) -> &str;

    /// Makes the tables, once.
    async fn prepare(&self) -> Result<()>;

    /// A writer's connection.
    async fn shop(&self) -> Result<Box<dyn Shop>>;

    /// Starts a relay to the store of a client.
    async fn relay(&self, client: &Client) -> Result<OutboxRelayHandle>;

    /// The orders that were committed.
    async fn rows(&self) -> Result<Vec<u64>>;

    /// How many rows wait in the outbox.
    async fn waiting(&self) -> Result<u64>;

    /// How many rows were set aside.
    async fn aside(&self) -> Result<u64>;

    /// What serves it, to be killed as well; none for an embedded one.
    fn server(&self) -> Option<&dyn Server> {
        None
    }
}

/// A connection of a writer's own.
#[async_trait]
pub(super) trait Shop: Send {
    /// Writes order `n` and its task in one transaction, and ends that.
    async fn order(&mut self, client: &Client, n: u64, fate: Fate) -> Result<()>;
}

/// The database that `url` names. A scheme alone stands for one of the run's own.
pub(super) fn by_url(url: &str, home: &Path) -> Result<Arc<dyn Source>> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "sqlite" => Ok(Arc::new(sqlite::Sqlite::new(rest, home))),
        "postgres" | "postgresql" => Ok(Arc::new(postgres::Postgres::new(url)?)),
        "mysql" | "mariadb" => Ok(Arc::new(mysql::MySql::new(url)?)),
        _ => bail!("there is no outbox in {scheme:?}; known are sqlite, postgres and mysql"),
    }
}

/// A relay that takes over as quickly as the workers do.
fn relay(client: &Client, outbox: impl OutboxTable) -> Result<OutboxRelayHandle> {
    let relay = OutboxRelay::builder(client, outbox)
        .batch(20)
        .lease(LEASE)
        .worker(|worker| {
            worker
                .idle_poll(Duration::from_millis(100))
                .rescue_interval(Duration::from_millis(200))
        })
        .build()?;
    Ok(relay.start())
}

async fn waiting(outbox: &impl OutboxTable) -> Result<u64> {
    let waiting = outbox.waiting(1_000_000).await?;
    Ok(match waiting.rows {
        Count::Exact(rows) | Count::AtLeast(rows) => rows,
    })
}

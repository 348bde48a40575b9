//! Where the orders and the tasks that deliver them are kept: what the example asks of a store, and which file opens it.

mod ledger;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::collections::HashMap;

use anyhow::bail;
use async_trait::async_trait;
use task_retry::{Client, ConnectError};

use crate::cli::Cli;
use crate::order::Order;

/// What became of an order that was to be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It and its delivery are stored now.
    New,
    /// They were before.
    Known,
    /// An order with this id was stored before, and it says something else.
    Differs,
}

impl Taken {
    /// How an order relates to the text that is stored under its id.
    pub(crate) fn before(stored: &str, order: &Order) -> anyhow::Result<Self> {
        Ok(match stored == order.body()? {
            true => Self::Known,
            false => Self::Differs,
        })
    }
}

/// The orders of the application, and their deliveries. An order that was taken in has exactly one delivery, wherever
/// the program is killed.
#[async_trait]
pub(crate) trait Shop: Send + Sync {
    /// The client of the store that has the deliveries.
    fn client(&self) -> &Client;

    /// The text of an order, if the shop has it.
    async fn body(&self, id: &str) -> anyhow::Result<Option<String>>;

    /// Takes in the orders that the shop does not have, and answers for each.
    async fn take_in(&self, orders: Vec<Order>) -> anyhow::Result<Vec<Taken>>;

    /// The ids of all orders, each by the id of the task that delivers it.
    async fn orders(&self) -> anyhow::Result<HashMap<String, String>>;
}

/// Opens the shop that the command line names.
pub(crate) async fn open(cli: &Cli) -> anyhow::Result<Box<dyn Shop>> {
    let Some(url) = &cli.store else {
        return Ok(Box::new(sqlite::Shop::open(&cli.db)?));
    };
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "sqlite" => Ok(Box::new(sqlite::Shop::open(
            rest.strip_prefix("//").unwrap_or(rest),
        )?)),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(Box::new(postgres::Shop::open(url).await?)),
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => Ok(Box::new(mysql::Shop::open(url).await?)),
        "memory" => bail!("a store in memory forgets the orders with the process"),
        // Redis and sled take part in no transaction with rows of others. A store that is not compiled in ends here too.
        _ => {
            let client = task_retry::connect(url).await.map_err(explained)?;
            let ledger = cli.db.with_extension(format!("{scheme}.jsonl"));
            Ok(Box::new(ledger::Shop::open(client, &ledger)?))
        }
    }
}

/// Names the way to a store that is not compiled in.
fn explained(error: ConnectError) -> anyhow::Error {
    let hint = match &error {
        ConnectError::FeatureDisabled { feature, .. } => {
            format!("for the example: cargo run --example orders --features {feature} -- --store …")
        }
        _ => "cannot open the store".to_owned(),
    };
    anyhow::Error::new(error).context(hint)
}

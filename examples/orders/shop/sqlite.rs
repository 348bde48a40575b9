//! SQLite: each order and its delivery in one transaction of the application's own connection, in one file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use task_retry::Client;
use task_retry::sqlite::SqliteStore;

use super::Taken;
use crate::order::Order;

/// The file with the application's table and the tasks.
pub(super) struct Shop {
    /// Knows its store, which `in_tx` needs.
    store: Client<SqliteStore>,
    client: Client,
    connection: Mutex<Connection>,
}

impl Shop {
    pub(super) fn open(db: impl AsRef<Path>) -> anyhow::Result<Self> {
        let db = db.as_ref();
        let store = SqliteStore::open(db).with_context(|| format!("cannot open {}", db.display()))?;
        let connection = Connection::open(db)?;
        // The store writes to the same file, and so may another instance of this program.
        connection.busy_timeout(Duration::from_secs(10))?;
        connection
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS orders (
                    id      TEXT PRIMARY KEY,
                    task_id TEXT NOT NULL,
                    body    TEXT NOT NULL
                ) STRICT",
            )
            .context("cannot open the table of orders")?;
        let store = Client::new(store);
        Ok(Self {
            client: store.clone().erase(),
            store,
            connection: Mutex::new(connection),
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn body(connection: &Connection, id: &str) -> rusqlite::Result<Option<String>> {
    let mut find = connection.prepare_cached("SELECT body FROM orders WHERE id = ?1")?;
    find.query_row([id], |row| row.get(0)).optional()
}

#[async_trait]
impl super::Shop for Shop {
    fn client(&self) -> &Client {
        &self.client
    }

    async fn body(&self, id: &str) -> anyhow::Result<Option<String>> {
        Ok(body(&self.connection(), id)?)
    }

    async fn take_in(&self, orders: Vec<Order>) -> anyhow::Result<Vec<Taken>> {
        // rusqlite blocks: the thread is the transaction's alone.
        tokio::task::block_in_place(|| {
            let mut connection = self.connection();
            // Immediate: the transaction will write, so it waits its turn here and nowhere else.
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut taken = Vec::with_capacity(orders.len());
            for order in orders {
                if let Some(stored) = body(&tx, &order.id)? {
                    taken.push(Taken::before(&stored, &order)?);
                    continue;
                }
                let (id, body) = (order.id.clone(), order.body()?);
                let delivery = self.store.enqueue(order).in_tx(&tx)?;
                let mut insert =
                    tx.prepare_cached("INSERT INTO orders (id, task_id, body) VALUES (?1, ?2, ?3)")?;
                insert.execute(params![id, delivery.id.to_string(), body])?;
                taken.push(Taken::New);
            }
            tx.commit()?;
            Ok(taken)
        })
    }

    async fn orders(&self) -> anyhow::Result<HashMap<String, String>> {
        let connection = self.connection();
        let mut select = connection.prepare("SELECT task_id, id FROM orders")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

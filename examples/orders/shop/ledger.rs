//! Redis and sled, which take part in no transaction with rows of others: the application keeps its orders in a ledger,
//! a file of its own, and advances it *behind* the store.
//!
//! 1. The delivery is enqueued with the order's id as its unique key, which it keeps for ever.
//! 2. The order is entered in the ledger, which thereby says how far the orders were taken in.
//!
//! A kill in between leaves a delivery whose order is not entered. The next run takes the order in again; the key answers
//! with the delivery that is there already, and that one is entered. So nothing is lost, and nothing is there twice.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use task_retry::task::{KeyScope, OnDuplicate};
use task_retry::{Client, Draft};

use super::Taken;
use crate::order::Order;

/// The store with the tasks, and the ledger beside it.
pub(super) struct Shop {
    client: Client,
    ledger: Mutex<Ledger>,
}

/// The orders that were taken in, a line of JSON each.
struct Ledger {
    file: File,
    entries: HashMap<String, Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    order: String,
    task: String,
    body: String,
}

impl Shop {
    pub(super) fn open(client: Client, path: &Path) -> anyhow::Result<Self> {
        let ledger = Ledger::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            client,
            ledger: Mutex::new(ledger),
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        // Freed by the system when this process ends, however it ends.
        file.try_lock()
            .context("another instance has it; with --db each has its own")?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A kill may have torn the last line, which was not acknowledged then.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole.try_into()?)?;
        let entries = text[..whole].lines().map(serde_json::from_str::<Entry>);
        let entries = entries.map(|entry| entry.map(|entry| (entry.order.clone(), entry)));
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
            file,
        })
    }

    /// Enters orders; they are on the disk when it returns.
    fn enter(&mut self, entries: Vec<Entry>) -> anyhow::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for entry in &entries {
            lines += &serde_json::to_string(entry)?;
            lines.push('\n');
        }
        self.file.write_all(lines.as_bytes())?;
        self.file.sync_all()?;
        let entries = entries.into_iter().map(|entry| (entry.order.clone(), entry));
        self.entries.extend(entries);
        Ok(())
    }
}

/// The delivery of an order. Its key outlives it: the second request may come when the first is long delivered.
fn delivery(order: &Order) -> Draft {
    Draft::of(order).unique_with(&order.id, KeyScope::UntilPurged, OnDuplicate::Keep)
}

#[async_trait]
impl super::Shop for Shop {
    fn client(&self) -> &Client {
        &self.client
    }

    async fn body(&self, id: &str) -> anyhow::Result<Option<String>> {
        Ok(self.ledger().entries.get(id).map(|entry| entry.body.clone()))
    }

    async fn take_in(&self, orders: Vec<Order>) -> anyhow::Result<Vec<Taken>> {
        let mut missing = orders.clone();
        missing.retain(|order| !self.ledger().entries.contains_key(&order.id));
        let deliveries = self.client.enqueue_many(missing.iter().map(delivery)).await?;
        let (mut new, mut entries) = (HashSet::new(), Vec::new());
        for (order, delivery) in missing.iter().zip(deliveries) {
            let mut body = order.body()?;
            if delivery.is_new() {
                new.insert(order.id.clone());
            } else if let Some(before) = self.client.get(delivery.id).await? {
                // The line may say something else than when it was taken in; what counts is what is delivered.
                body = before.payload.as_json().to_owned();
            }
            entries.push(Entry {
                order: order.id.clone(),
                task: delivery.id.to_string(),
                body,
            });
        }
        let mut ledger = self.ledger();
        ledger.enter(entries)?;
        let taken = orders.iter().map(|order| match new.contains(&order.id) {
            true => Ok(Taken::New),
            false => Taken::before(&ledger.entries[&order.id].body, order),
        });
        taken.collect()
    }

    async fn orders(&self) -> anyhow::Result<HashMap<String, String>> {
        let ledger = self.ledger();
        let orders = ledger.entries.values();
        Ok(orders
            .map(|entry| (entry.task.clone(), entry.order.clone()))
            .collect())
    }
}

//! The table at the end: what became of every order, by the store's own records and by the receiver's.

use std::collections::HashMap;
use std::fmt;

use task_retry::TaskPayload as _;
use task_retry::name::Kind;
use task_retry::store::{Page, TaskFilter};
use task_retry::task::{State, TaskSummary};

use crate::book::{Entry, RECEIPT};
use crate::order::Order;
use crate::shop::Shop;

/// How many orders a list names; all are counted.
const NAMED: usize = 20;

/// What became of the orders.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    orders: u64,
    delivered: u64,
    by_fallback: u64,
    attempts: u64,
    retried: u64,
    failed: Vec<String>,
    /// Neither delivered nor visibly failed.
    astray: Vec<String>,
    duplicates: u64,
    /// Those that followed an answer the receiver itself lost; the others followed a kill of this program.
    duplicates_explained: u64,
}

impl Summary {
    /// Compares the orders with their tasks, and the tasks with the receiver's records.
    pub(crate) async fn of(shop: &dyn Shop, received: &HashMap<String, Entry>) -> anyhow::Result<Self> {
        let mut orders = shop.orders().await?;
        let mut summary = Self {
            orders: u64::try_from(orders.len())?,
            ..Self::default()
        };
        let filter = TaskFilter {
            kinds: vec![Kind::new(Order::KIND)?],
            with_output: true,
            ..TaskFilter::default()
        };
        let mut page = Page::first(1_000);
        let mut strangers = Vec::new();
        loop {
            let listed = shop.client().list(&filter, &page).await?;
            for task in &listed.tasks {
                let key = task.task.id.to_string();
                match orders.remove(&key) {
                    Some(order) => {
                        summary.add(order, task, received.get(&key).copied().unwrap_or_default());
                    }
                    None => strangers.push(key),
                }
            }
            match listed.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        let without_task = orders
            .into_values()
            .map(|order| format!("{order}: it has no task"));
        summary.astray.extend(without_task);
        // Another instance may have taken orders in since they were read.
        let orders = shop.orders().await?;
        strangers.retain(|key| !orders.contains_key(key));
        let doubled = strangers.into_iter();
        summary
            .astray
            .extend(doubled.map(|key| format!("task {key}: nobody ordered it, or it is a second delivery")));
        summary.astray.sort();
        summary.failed.sort();
        Ok(summary)
    }

    fn add(&mut self, order: String, task: &TaskSummary, entry: Entry) {
        let attempts = u64::from(task.task.attempt);
        self.attempts += attempts;
        self.retried += u64::from(attempts > 1);
        let duplicates = entry.accepted.saturating_sub(1);
        self.duplicates += u64::from(duplicates);
        self.duplicates_explained += u64::from(duplicates.min(entry.lost_answers));
        match task.task.state {
            State::Succeeded if claims_receipt(task) && entry.accepted == 0 => {
                self.astray
                    .push(format!("{order}: delivered, but the receiver does not have it"));
            }
            State::Succeeded => {
                self.delivered += 1;
                self.by_fallback += u64::from(task.via_fallback);
            }
            State::Failed => {
                let why = task
                    .last_error
                    .as_ref()
                    .map_or("no reason", |error| error.as_str());
                self.failed.push(format!("{order}: {why}"));
            }
            state => self.astray.push(format!("{order}: {state}")),
        }
    }

    /// Whether every order is delivered or failed visibly.
    pub(crate) const fn is_complete(&self) -> bool {
        self.astray.is_empty()
    }
}

/// Whether the receiver in this process has confirmed the delivery, not one given with `--to`.
fn claims_receipt(task: &TaskSummary) -> bool {
    let receipt = task
        .output
        .as_ref()
        .and_then(|output| output.decode::<String>().ok());
    receipt.is_some_and(|text| text == RECEIPT)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = u64::try_from(self.failed.len()).unwrap_or(u64::MAX);
        let rows = [
            ("orders", self.orders),
            ("delivered", self.delivered),
            ("  of them by the fallback", self.by_fallback),
            ("failed", failed),
            ("attempts", self.attempts),
            ("orders tried more than once", self.retried),
            ("duplicates the receiver saw", self.duplicates),
            ("  after an answer it lost", self.duplicates_explained),
        ];
        for (name, number) in rows {
            writeln!(f, "  {name:<28} {number:>9}")?;
        }
        named(f, "Failed", &self.failed)?;
        named(f, "NEITHER DELIVERED NOR FAILED", &self.astray)
    }
}

fn named(f: &mut fmt::Formatter<'_>, title: &str, orders: &[String]) -> fmt::Result {
    if orders.is_empty() {
        return Ok(());
    }
    writeln!(f, "{title}:")?;
    for order in orders.iter().take(NAMED) {
        writeln!(f, "  {order}")?;
    }
    if orders.len() > NAMED {
        writeln!(f, "  … and {} more", orders.len() - NAMED)?;
    }
    Ok(())
}
